# The cluster: EKS, one group of nodes a zone, and EKS's own add-ons.

module "eks" {
  # checkov:skip=CKV_TF_1: from the registry, by its exact version, which never changes there.
  source  = "terraform-aws-modules/eks/aws"
  version = "21.8.0"

  name                = local.name
  kubernetes_version  = var.kubernetes_version
  deletion_protection = !local.delete_data

  vpc_id     = module.vpc.vpc_id
  subnet_ids = module.vpc.private_subnets

  endpoint_private_access      = true
  endpoint_public_access       = true
  endpoint_public_access_cidrs = var.api_allowed_cidrs

  authentication_mode                      = "API"
  enable_cluster_creator_admin_permissions = true
  # Who delivers rules the namespace by the role for it; as themselves they look, which `terraform plan` needs.
  access_entries = merge(
    {
      for role in aws_iam_role.deployer : "deployer" => {
        principal_arn = role.arn
        policy_associations = {
          namespace = {
            policy_arn   = "arn:${local.partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
            access_scope = { type = "namespace", namespaces = [local.namespace] }
          }
        }
      }
    },
    {
      for index, arn in var.deployers : "planner-${index}" => {
        principal_arn = arn
        policy_associations = {
          look = {
            policy_arn   = "arn:${local.partition}:eks::aws:cluster-access-policy/AmazonEKSAdminViewPolicy"
            access_scope = { type = "cluster", namespaces = [] }
          }
        }
      }
    },
  )

  # Pods get their roles by Pod Identity (identity.tf); nothing needs an OpenID provider.
  enable_irsa = false

  enabled_log_types                      = ["api", "audit", "authenticator"]
  cloudwatch_log_group_retention_in_days = 90

  addons = {
    eks-pod-identity-agent = { before_compute = true }
    vpc-cni = {
      before_compute = true
      # Without it NetworkPolicies are accepted and have no effect.
      configuration_values = jsonencode({ enableNetworkPolicy = "true" })
    }
    kube-proxy = {}
    coredns    = {}
    aws-ebs-csi-driver = {
      pod_identity_association = [
        { service_account = "ebs-csi-controller-sa", role_arn = aws_iam_role.ebs.arn }
      ]
      # For Prometheus; Heed's own volumes have a class in k8s/ that encrypts and keeps them.
      configuration_values = jsonencode({ defaultStorageClass = { enabled = true } })
    }
  }

  # A group a zone: a volume cannot leave its zone, and one group over all of them may leave a zone empty.
  eks_managed_node_groups = {
    for index, zone in var.zones : "zone-${zone}" => {
      subnet_ids     = [module.vpc.private_subnets[index]]
      ami_type       = "AL2023_x86_64_STANDARD"
      instance_types = var.node_types

      min_size     = var.nodes_per_zone.min
      max_size     = var.nodes_per_zone.max
      desired_size = var.nodes_per_zone.min

      update_config      = { max_unavailable = 1 }
      node_repair_config = { enabled = true }

      block_device_mappings = {
        root = {
          device_name = "/dev/xvda"
          ebs         = { volume_size = 50, volume_type = "gp3", encrypted = true, delete_on_termination = true }
        }
      }
    }
  }
}
