# The cluster: EKS, one group of nodes a zone, and EKS's own add-ons.

locals {
  # What all nodes have.
  node = {
    ami_type           = "AL2023_x86_64_STANDARD"
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

  authentication_mode = "API"
  # By name: the module would take whoever calls, and each plan of somebody else would hand the cluster and its key over.
  enable_cluster_creator_admin_permissions = false
  kms_key_administrators                   = var.admins
  # Who delivers rules the namespace by the role for it; as themselves they look, which `terraform plan` needs.
  access_entries = merge(
    {
      for index, arn in var.admins : "admin-${index}" => {
        principal_arn = arn
        policy_associations = {
          all = {
            policy_arn   = "arn:${local.partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
            access_scope = { type = "cluster", namespaces = [] }
          }
        }
      }
    },
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
  eks_managed_node_groups = merge(
    {
      for index, zone in var.zones : "zone-${zone}" => merge(local.node, {
        subnet_ids     = [module.vpc.private_subnets[index]]
        instance_types = var.node_types

        min_size     = var.nodes_per_zone.min
        max_size     = var.nodes_per_zone.max
        desired_size = var.nodes_per_zone.min
      })
    },
    # Jenkins' agents have a privileged container each: nothing else shares a node with them, nor branches' with main's. They
    # are there while a build asks for them (jenkins/cluster.yaml).
    {
      for name in ["jenkins", "jenkins-main"] : name => merge(local.node, {
        subnet_ids     = module.vpc.private_subnets
        instance_types = ["m7i.xlarge", "m6i.xlarge"] # one build's pod asks for 3 cores and 6 GiB

        min_size     = 0
        max_size     = var.agent_nodes
        desired_size = 0

        labels = { "heed/only" = name }
        taints = { only = { key = "heed/only", value = name, effect = "NO_SCHEDULE" } }
      }) if var.agent_nodes > 0
    },
  )
}
