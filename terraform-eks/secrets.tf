# Places for the secrets; what they say never passes through Terraform, and so never lies in its state.
# `make secrets-eks` makes the values once (README.md); external-secrets brings them to the namespace.

locals {
  secrets = {
    app      = "HEED_SECRET_KEY, HEED_ADMIN_PASSWORD, HEED_API_KEY"
    database = "HEED_DATABASE_URL; POSTGRES_PASSWORD for the Postgres in the cluster"
    redis    = "HEED_REDIS_URL; REDIS_PASSWORD and redis.conf for the Redis in the cluster"
    zendesk  = "HEED_ZENDESK_SUBDOMAIN, HEED_ZENDESK_EMAIL, HEED_ZENDESK_TOKEN, HEED_ZENDESK_WEBHOOK_SECRET"
  }
}

resource "aws_secretsmanager_secret" "heed" {
  # checkov:skip=CKV2_AWS_57: renewing one needs restarts and, for Zendesk, its console; docs/operations.md says how.
  for_each = local.secrets

  name                    = "heed/${var.environment}/${each.key}"
  description             = each.value
  kms_key_id              = aws_kms_key.data.arn
  recovery_window_in_days = local.delete_data ? 7 : 30
}
