# What terraform-aws-modules/vpc/aws 6.5.1 takes and gives, as far as terraform-eks/ uses it. It builds nothing.

variable "name" { type = string }
variable "cidr" { type = string }
variable "azs" { type = list(string) }
variable "private_subnets" { type = list(string) }
variable "public_subnets" { type = list(string) }
variable "enable_nat_gateway" { type = bool }
variable "single_nat_gateway" { type = bool }
variable "one_nat_gateway_per_az" { type = bool }
variable "enable_dns_hostnames" { type = bool }
variable "public_subnet_tags" { type = map(string) }
variable "private_subnet_tags" { type = map(string) }
variable "enable_flow_log" { type = bool }
variable "create_flow_log_cloudwatch_log_group" { type = bool }
variable "create_flow_log_cloudwatch_iam_role" { type = bool }
variable "flow_log_traffic_type" { type = string }
variable "flow_log_cloudwatch_log_group_retention_in_days" { type = number }

output "vpc_id" { value = "vpc-0123456789abcdef0" }
output "private_subnets" { value = [for index, cidr in var.private_subnets : "subnet-${index}"] }
output "private_route_table_ids" { value = [for index, cidr in var.private_subnets : "rtb-${index}"] }
