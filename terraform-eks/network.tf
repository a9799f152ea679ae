# The VPC: three zones, nodes in private subnets, only the load balancer in public ones.

locals {
  private_subnets = [for index in range(3) : cidrsubnet(var.vpc_cidr, 4, index)]
  public_subnets  = [for index in range(3) : cidrsubnet(var.vpc_cidr, 8, 240 + index)]
}

module "vpc" {
  # checkov:skip=CKV_TF_1: from the registry, by its exact version, which never changes there.
  source  = "terraform-aws-modules/vpc/aws"
  version = "6.5.1"

  name = local.name
  cidr = var.vpc_cidr

  azs             = [for letter in var.zones : "${var.region}${letter}"]
  private_subnets = local.private_subnets
  public_subnets  = local.public_subnets

  enable_nat_gateway     = true
  single_nat_gateway     = var.one_nat_gateway
  one_nat_gateway_per_az = !var.one_nat_gateway

  enable_dns_hostnames = true

  # By these the load balancer of Traefik's Service finds its subnets.
  public_subnet_tags  = { "kubernetes.io/role/elb" = "1" }
  private_subnet_tags = { "kubernetes.io/role/internal-elb" = "1" }

  enable_flow_log                                 = true
  create_flow_log_cloudwatch_log_group            = true
  create_flow_log_cloudwatch_iam_role             = true
  flow_log_traffic_type                           = "REJECT"
  flow_log_cloudwatch_log_group_retention_in_days = 30
}

# Backups and image layers go to S3 past the NAT gateways, which charge for each gigabyte. It costs nothing.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = module.vpc.vpc_id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = module.vpc.private_route_table_ids
}
