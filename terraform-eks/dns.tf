# One certificate for both host names, proven by DNS, and the names themselves.

locals {
  hosts = toset([var.feedback_host, var.results_host])
}

resource "aws_acm_certificate" "sites" {
  domain_name               = var.feedback_host
  subject_alternative_names = [var.results_host]
  validation_method         = "DNS"

  # The new one is in use before the old one goes.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "proof" {
  for_each = local.hosts

  zone_id         = var.zone_id
  name            = one([for proof in aws_acm_certificate.sites.domain_validation_options : proof.resource_record_name if proof.domain_name == each.key])
  type            = one([for proof in aws_acm_certificate.sites.domain_validation_options : proof.resource_record_type if proof.domain_name == each.key])
  records         = [one([for proof in aws_acm_certificate.sites.domain_validation_options : proof.resource_record_value if proof.domain_name == each.key])]
  ttl             = 300
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "sites" {
  certificate_arn         = aws_acm_certificate.sites.arn
  validation_record_fqdns = [for record in aws_route53_record.proof : record.fqdn]
}

# The load balancer is made by the cluster for Traefik's Service, and found by the tags that it then has.
data "aws_lb" "sites" {
  tags = {
    "kubernetes.io/cluster/${local.name}" = "owned"
    "kubernetes.io/service-name"          = "${helm_release.traefik.namespace}/${helm_release.traefik.name}"
  }

  depends_on = [helm_release.traefik]
}

resource "aws_route53_record" "site" {
  for_each = local.hosts

  zone_id = var.zone_id
  name    = each.key
  type    = "A"

  alias {
    name                   = data.aws_lb.sites.dns_name
    zone_id                = data.aws_lb.sites.zone_id
    evaluate_target_health = false
  }
}
