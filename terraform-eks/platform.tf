# What the cluster needs besides Heed. Each chart's version is exact; each is told only what its own defaults have otherwise.

# TLS ends at the load balancer with ACM's certificate, and begins anew between it and Traefik.
resource "helm_release" "traefik" {
  name             = "traefik"
  namespace        = "traefik"
  create_namespace = true
  repository       = "https://traefik.github.io/charts"
  chart            = "traefik"
  version          = "37.1.1"

  # Until its load balancer has an address.
  wait    = true
  timeout = 900

  values = [yamlencode({
    deployment          = { replicas = 3 }
    podDisruptionBudget = { enabled = true, maxUnavailable = 1 }
    resources           = { requests = { cpu = "100m", memory = "128Mi" }, limits = { memory = "256Mi" } }
    topologySpreadConstraints = [{
      maxSkew           = 1
      topologyKey       = "topology.kubernetes.io/zone"
      whenUnsatisfiable = "ScheduleAnyway"
      labelSelector     = { matchLabels = { "app.kubernetes.io/name" = "traefik" } }
    }]

    # Only IngressRoutes, each with the Services of its own namespace.
    providers = { kubernetesIngress = { enabled = false } }

    # 443 is what customers see; the container listens on another port.
    additionalArguments = [
      "--entryPoints.web.http.redirections.entryPoint.to=:443",
      "--entryPoints.web.http.redirections.entryPoint.scheme=https",
      "--entryPoints.web.http.redirections.entryPoint.permanent=true",
      # Sooner than the sites close an idle connection (heed/web/serve.py): one that closes under a customer's answer is a 502.
      "--serversTransport.forwardingTimeouts.idleConnTimeout=10s",
    ]

    service = {
      # Only nodes that have a Traefik get connections, and it sees the customers' addresses, by which the form's rate is limited.
      spec = { externalTrafficPolicy = "Local" }
      annotations = {
        "service.beta.kubernetes.io/aws-load-balancer-type"                              = "nlb"
        "service.beta.kubernetes.io/aws-load-balancer-cross-zone-load-balancing-enabled" = "true"
        "service.beta.kubernetes.io/aws-load-balancer-ssl-cert"                          = aws_acm_certificate_validation.sites.certificate_arn
        "service.beta.kubernetes.io/aws-load-balancer-ssl-ports"                         = "443"
        "service.beta.kubernetes.io/aws-load-balancer-ssl-negotiation-policy"            = "ELBSecurityPolicy-TLS13-1-2-2021-06"
        "service.beta.kubernetes.io/aws-load-balancer-backend-protocol"                  = "ssl"
      }
    }

    metrics = { prometheus = { service = { enabled = true }, serviceMonitor = { enabled = true } } }
  })]

  # ServiceMonitor is a kind that the monitoring brings; NetworkPolicies and volumes need EKS's add-ons.
  depends_on = [helm_release.monitoring]
}

resource "helm_release" "monitoring" {
  name             = "monitoring"
  namespace        = "monitoring"
  create_namespace = true
  repository       = "https://prometheus-community.github.io/helm-charts"
  chart            = "kube-prometheus-stack"
  version          = "77.12.0"
  timeout          = 900

  values = [yamlencode({
    prometheus = {
      prometheusSpec = {
        retention = "15d"
        # Else only what this chart made itself would be watched, and Heed's ServiceMonitors and rules would not count.
        serviceMonitorSelectorNilUsesHelmValues = false
        podMonitorSelectorNilUsesHelmValues     = false
        ruleSelectorNilUsesHelmValues           = false
        storageSpec = {
          volumeClaimTemplate = {
            spec = { accessModes = ["ReadWriteOnce"], resources = { requests = { storage = "30Gi" } } }
          }
        }
      }
    }

    alertmanager = {
      serviceAccount = { name = "alertmanager" }
      config = {
        route = {
          receiver        = "mail"
          group_by        = ["namespace", "alertname"]
          group_wait      = "30s"
          group_interval  = "5m"
          repeat_interval = "12h"
          # It fires for ever, to show that alerts arrive; nobody wants a mail about it.
          routes = [{ receiver = "nobody", matchers = ["alertname = \"Watchdog\""] }]
        }
        receivers = [
          { name = "nobody" },
          {
            name = "mail"
            sns_configs = [{
              topic_arn     = aws_sns_topic.alerts.arn
              sigv4         = { region = var.region }
              send_resolved = true
            }]
          },
        ]
      }
    }

    # The chart's own password is the same everywhere; without one Grafana's chart makes one and keeps it.
    grafana = { adminPassword = "" }

    # EKS runs these and shows no metrics of theirs.
    kubeControllerManager = { enabled = false }
    kubeScheduler         = { enabled = false }
    kubeEtcd              = { enabled = false }
  })]

  depends_on = [aws_eks_pod_identity_association.pod, module.eks]
}

resource "helm_release" "keda" {
  name             = "keda"
  namespace        = "keda"
  create_namespace = true
  repository       = "https://kedacore.github.io/charts"
  chart            = "keda"
  version          = "2.18.1"

  values = [yamlencode({
    operator       = { replicaCount = 2 }
    serviceAccount = { operator = { name = "keda-operator" } }
  })]

  depends_on = [aws_eks_pod_identity_association.pod, module.eks]
}

resource "helm_release" "external_secrets" {
  name             = "external-secrets"
  namespace        = "external-secrets"
  create_namespace = true
  repository       = "https://charts.external-secrets.io"
  chart            = "external-secrets"
  version          = "0.20.4"

  values = [yamlencode({
    replicaCount   = 2
    leaderElect    = true
    serviceAccount = { name = "external-secrets" }
  })]

  depends_on = [aws_eks_pod_identity_association.pod, module.eks]
}

# Adds nodes when pods find no room, and takes away what stands idle, within `nodes_per_zone` and `agent_nodes`. It finds the groups
# by the tags that EKS gives them.
resource "helm_release" "cluster_autoscaler" {
  name       = "cluster-autoscaler"
  namespace  = "kube-system"
  repository = "https://kubernetes.github.io/autoscaler"
  chart      = "cluster-autoscaler"
  version    = "9.59.0"

  values = [yamlencode({
    # It plays Kubernetes' scheduler, so it is of the cluster's version and not of the chart's.
    image         = { tag = "v${var.kubernetes_version}.0" }
    awsRegion     = var.region
    autoDiscovery = { clusterName = module.eks.cluster_name }
    rbac          = { serviceAccount = { name = "cluster-autoscaler" } }
    resources     = { requests = { cpu = "50m", memory = "128Mi" }, limits = { memory = "512Mi" } }
    extraArgs = {
      # The zones stay as large as each other.
      balance-similar-node-groups = true
      # Each pod of Heed's has an emptyDir, for which no node has to stay.
      skip-nodes-with-local-storage = false
    }
  })]

  depends_on = [aws_eks_pod_identity_association.pod, module.eks]
}

resource "helm_release" "metrics_server" {
  name       = "metrics-server"
  namespace  = "kube-system"
  repository = "https://kubernetes-sigs.github.io/metrics-server/"
  chart      = "metrics-server"
  version    = "3.13.0"

  values = [yamlencode({
    replicas            = 2
    podDisruptionBudget = { enabled = true, maxUnavailable = 1 }
  })]

  depends_on = [module.eks]
}
