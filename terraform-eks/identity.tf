# Who may do what in AWS: a role for each service account that calls AWS, with the calls that its code makes and no more.
# The form, the results, the worker and the migration call nothing of AWS and have no role (tests/infra reads the code).

locals {
  key = {
    # The key is used through the service that holds the data, never by itself.
    for service in ["s3", "secretsmanager", "sns"] : service => {
      Sid       = "Key"
      Effect    = "Allow"
      Action    = service == "secretsmanager" ? ["kms:Decrypt"] : ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = [aws_kms_key.data.arn]
      Condition = { StringEquals = { "kms:ViaService" = "${service}.${var.region}.amazonaws.com" } }
    }
  }

  # By service account. Events: worker/bus.py. Queue: ticketing/queue.py. Bucket: backup/s3.py.
  roles = {
    relay = {
      namespace = local.namespace
      statements = [{
        Sid       = "Publish"
        Effect    = "Allow"
        Action    = ["events:PutEvents"]
        Resource  = [local.arn.bus]
        Condition = { StringEquals = { "events:source" = "heed.worker", "events:detail-type" = "NegativeFeedback" } }
      }]
    }
    ticketing = {
      namespace = local.namespace
      statements = [{
        Sid      = "Receive"
        Effect   = "Allow"
        Action   = ["sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
        Resource = [local.arn.queue]
      }]
    }
    backup = {
      namespace = local.namespace
      statements = [
        {
          Sid      = "Look"
          Effect   = "Allow"
          Action   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
          Resource = [local.arn.backups]
        },
        {
          # Not DeleteObjectVersion: whoever takes this role over cannot take the last month's backups away.
          Sid      = "Keep"
          Effect   = "Allow"
          Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
          Resource = ["${local.arn.backups}/${local.backup_prefix}/*"]
        },
        local.key.s3,
      ]
    }
    external-secrets = {
      namespace = "external-secrets"
      statements = [
        {
          Sid      = "Read"
          Effect   = "Allow"
          Action   = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
          Resource = [local.arn.secrets]
        },
        local.key.secretsmanager,
      ]
    }
    keda-operator = {
      namespace = "keda"
      statements = [{
        Sid      = "Depth"
        Effect   = "Allow"
        Action   = ["sqs:GetQueueAttributes"]
        Resource = [local.arn.queue]
      }]
    }
    cluster-autoscaler = {
      namespace = "kube-system"
      statements = [
        {
          # These name no resource.
          Sid    = "Look"
          Effect = "Allow"
          Action = [
            "autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeAutoScalingInstances",
            "autoscaling:DescribeLaunchConfigurations", "autoscaling:DescribeScalingActivities", "autoscaling:DescribeTags",
            "ec2:DescribeImages", "ec2:DescribeInstanceTypes", "ec2:DescribeLaunchTemplateVersions",
            "ec2:GetInstanceTypesFromInstanceRequirements",
          ]
          Resource = ["*"]
        },
        {
          # Which labels and taints a node of a group without nodes would have.
          Sid      = "LookAtGroups"
          Effect   = "Allow"
          Action   = ["eks:DescribeNodegroup"]
          Resource = ["arn:${local.partition}:eks:${local.here}:nodegroup/${local.name}/*"]
        },
        {
          # EKS tags the groups that it makes for this cluster.
          Sid       = "Scale"
          Effect    = "Allow"
          Action    = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
          Resource  = ["arn:${local.partition}:autoscaling:${local.here}:autoScalingGroup:*"]
          Condition = { StringEquals = { "aws:ResourceTag/k8s.io/cluster-autoscaler/${local.name}" = "owned" } }
        },
      ]
    }
    alertmanager = {
      namespace = "monitoring"
      statements = [
        {
          Sid      = "Tell"
          Effect   = "Allow"
          Action   = ["sns:Publish"]
          Resource = [local.arn.alerts]
        },
        local.key.sns,
      ]
    }
  }

  # Only EKS may hand a role out, and only to pods of the service account that it is for.
  trust = {
    for account, namespace in merge({ for name, role in local.roles : name => role.namespace }, { ebs-csi-controller-sa = "kube-system" }) :
    account => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "pods.eks.amazonaws.com" }
        Action    = ["sts:AssumeRole", "sts:TagSession"]
        Condition = {
          StringEquals = {
            "aws:RequestTag/eks-cluster-arn"            = local.arn.cluster
            "aws:RequestTag/kubernetes-namespace"       = namespace
            "aws:RequestTag/kubernetes-service-account" = account
          }
        }
      }]
    })
  }
}

resource "aws_iam_role" "pod" {
  for_each = local.roles

  name               = "${local.name}-${each.key}"
  description        = "Pods of ${each.value.namespace}/${each.key}"
  assume_role_policy = local.trust[each.key]
}

resource "aws_iam_role_policy" "pod" {
  for_each = local.roles

  name   = "calls"
  role   = aws_iam_role.pod[each.key].name
  policy = jsonencode({ Version = "2012-10-17", Statement = each.value.statements })
}

resource "aws_eks_pod_identity_association" "pod" {
  for_each = local.roles

  cluster_name    = module.eks.cluster_name
  namespace       = each.value.namespace
  service_account = each.key
  role_arn        = aws_iam_role.pod[each.key].arn
}

# The driver of volumes works with AWS's own policy for it.
resource "aws_iam_role" "ebs" {
  name               = "${local.name}-ebs-csi"
  description        = "EKS's driver of volumes"
  assume_role_policy = local.trust["ebs-csi-controller-sa"]
}

resource "aws_iam_role_policy_attachment" "ebs" {
  role       = aws_iam_role.ebs.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"
}

# Who delivers: pushes images, and finds the cluster; what it may do there says its access entry in cluster.tf.
resource "aws_iam_role" "deployer" {
  count = length(var.deployers) == 0 ? 0 : 1

  name        = "${local.name}-deployer"
  description = "Delivers Heed: images and the namespace ${local.namespace}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = var.deployers }
      # An agent in a pod has tags from Pod Identity, and takes them along into each role that it takes.
      Action = ["sts:AssumeRole", "sts:TagSession"]
    }]
  })
}

resource "aws_iam_role_policy" "deployer" {
  count = length(var.deployers) == 0 ? 0 : 1

  name = "calls"
  role = aws_iam_role.deployer[0].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # It names no resource: the token is the account's.
        Sid      = "LogIn"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
      {
        Sid    = "Push"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
          "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
        ]
        Resource = local.arn.images
      },
      {
        Sid      = "FindTheCluster"
        Effect   = "Allow"
        Action   = ["eks:DescribeCluster"]
        Resource = [local.arn.cluster]
      },
    ]
  })
}
