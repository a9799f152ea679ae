# Who is asked to build, and as whom.

provider "aws" {
  region = var.region
  # Another account's credentials in the terminal end here, before anything is built.
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = {
      Application = "heed"
      Environment = var.environment
      ManagedBy   = "terraform"
    }
  }
}

provider "helm" {
  kubernetes = {
    host                   = module.eks.cluster_endpoint
    cluster_ca_certificate = base64decode(module.eks.cluster_certificate_authority_data)
    # A token lives for minutes, so each call asks for its own instead of keeping one in the state.
    exec = {
      api_version = "client.authentication.k8s.io/v1beta1"
      command     = "aws"
      args        = ["eks", "get-token", "--region", var.region, "--cluster-name", module.eks.cluster_name]
    }
  }
}

data "aws_partition" "current" {}
