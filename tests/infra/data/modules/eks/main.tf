# What terraform-aws-modules/eks/aws 21.8.0 takes and gives, as far as terraform-eks/ uses it. It builds nothing.

variable "name" { type = string }
variable "kubernetes_version" { type = string }
variable "deletion_protection" { type = bool }
variable "vpc_id" { type = string }
variable "subnet_ids" { type = list(string) }
variable "endpoint_private_access" { type = bool }
variable "endpoint_public_access" { type = bool }
variable "endpoint_public_access_cidrs" { type = list(string) }
variable "authentication_mode" { type = string }
variable "enable_cluster_creator_admin_permissions" { type = bool }
variable "kms_key_administrators" { type = list(string) }
variable "enable_irsa" { type = bool }
variable "enabled_log_types" { type = list(string) }
variable "cloudwatch_log_group_retention_in_days" { type = number }

# Terraform drops without a word what an object's type does not name, so these look at the names themselves.
variable "access_entries" {
  type = any

  validation {
    condition = alltrue([for entry in var.access_entries : length(setsubtract(keys(entry), [
      "kubernetes_groups", "policy_associations", "principal_arn", "tags", "type", "user_name",
    ])) == 0])
    error_message = "An access entry has an argument that the module does not know."
  }

  validation {
    condition = alltrue(flatten([for entry in var.access_entries : [for association in entry.policy_associations :
      length(setsubtract(keys(association), ["access_scope", "policy_arn"])) == 0 &&
      length(setsubtract(keys(association.access_scope), ["namespaces", "type"])) == 0
    ]]))
    error_message = "A policy association has an argument that the module does not know."
  }
}

variable "addons" {
  type = any

  validation {
    condition = alltrue([for addon in var.addons : length(setsubtract(keys(addon), [
      "addon_version", "before_compute", "configuration_values", "most_recent", "name", "pod_identity_association",
      "preserve", "resolve_conflicts_on_create", "resolve_conflicts_on_update", "service_account_role_arn", "tags",
      "timeouts",
    ])) == 0])
    error_message = "An add-on has an argument that the module does not know."
  }

  validation {
    condition = alltrue(flatten([for addon in var.addons : [for pod in try(addon.pod_identity_association, []) :
      length(setsubtract(keys(pod), ["role_arn", "service_account"])) == 0
    ]]))
    error_message = "A pod's identity has an argument that the module does not know."
  }
}

variable "eks_managed_node_groups" {
  type = any

  # Of the module's many those that anybody here may want.
  validation {
    condition = alltrue([for group in var.eks_managed_node_groups : length(setsubtract(keys(group), [
      "ami_type", "block_device_mappings", "capacity_type", "desired_size", "instance_types", "labels", "max_size",
      "metadata_options", "min_size", "name", "node_repair_config", "subnet_ids", "taints", "update_config",
    ])) == 0])
    error_message = "A group of nodes has an argument that the module does not know."
  }

  validation {
    condition = alltrue(flatten([for group in var.eks_managed_node_groups : [for disk in group.block_device_mappings :
      length(setsubtract(keys(disk), ["device_name", "ebs", "no_device", "virtual_name"])) == 0 &&
      length(setsubtract(keys(disk.ebs), [
        "delete_on_termination", "encrypted", "iops", "kms_key_id", "snapshot_id", "throughput",
        "volume_initialization_rate", "volume_size", "volume_type",
      ])) == 0
    ]]))
    error_message = "A disk has an argument that the module does not know."
  }
}

output "cluster_name" { value = var.name }
output "cluster_endpoint" { value = "https://cluster.example" }
output "cluster_certificate_authority_data" { value = "Y2VydGlmaWNhdGU=" }
