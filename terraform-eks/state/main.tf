# Where the state of everything else lies: a bucket of its own, made once, with a state file on your disk.
# It holds no data of customers and no secrets, but whoever can write to it decides what is built.

terraform {
  required_version = ">= 1.11.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "6.25.0"
    }
  }
}

variable "account_id" {
  description = "The AWS account to build in; with credentials of another one nothing is done"
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An AWS account id has twelve digits; `aws sts get-caller-identity` shows yours."
  }
}

variable "region" {
  description = "The AWS region of the bucket"
  type        = string
  default     = "eu-central-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "This is no region's name; eu-central-1 is one."
  }
}

variable "environment" {
  description = "One state for each environment, in the same bucket"
  type        = string
  default     = "production"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}[a-z0-9]$", var.environment))
    error_message = "3 to 16 lower-case letters, digits and hyphens."
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]
}

data "aws_partition" "current" {}

locals {
  bucket = "arn:${data.aws_partition.current.partition}:s3:::heed-terraform-${var.account_id}"
}

resource "aws_s3_bucket" "state" {
  # checkov:skip=CKV_AWS_18: who reads and writes the state is in CloudTrail.
  # checkov:skip=CKV_AWS_144: without this region there is nothing to describe either.
  # checkov:skip=CKV_AWS_145: it holds no secrets (../secrets.tf), and a key of our own would have to be built before it.
  # checkov:skip=CKV2_AWS_61: old versions of the state are small, and wanted when something went wrong.
  # checkov:skip=CKV2_AWS_62: nothing waits for a change of the state.
  bucket = "heed-terraform-${var.account_id}"

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "state" {
  bucket = aws_s3_bucket.state.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_public_access_block" "state" {
  bucket = aws_s3_bucket.state.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "state" {
  bucket = aws_s3_bucket.state.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyEncrypted"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.bucket, "${local.bucket}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.state]
}

output "backend" {
  description = "The file ../backend.tf"
  value       = <<-EOT
    terraform {
      backend "s3" {
        bucket       = "${aws_s3_bucket.state.bucket}"
        key          = "heed/${var.environment}.tfstate"
        region       = "${var.region}"
        encrypt      = true
        use_lockfile = true
      }
    }
  EOT
}
