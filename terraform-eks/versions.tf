# Every version is exact: what was tested is what is built. Newer ones come by changing them here, and
# tests/infra/data with them (README.md, "Newer versions"). Where the state lies says backend.tf, which `state/` prints.

terraform {
  # 1.11 is the first that locks its state in S3 itself, without a DynamoDB table.
  required_version = ">= 1.11.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "6.25.0"
    }
    helm = {
      source  = "hashicorp/helm"
      version = "3.1.1"
    }
  }
}
