# Names and addresses, each written once. Policies name their resources by them: an address that is known before anything
# is built shows in the plan, and lets two things name each other.

locals {
  name        = "heed-${var.environment}"
  namespace   = "heed"
  partition   = data.aws_partition.current.partition
  delete_data = var.delete_data != ""

  images     = toset(["heed-api", "heed-worker", "heed-ticketing", "heed-backup"])
  dead_queue = "${var.event_queue}-dead"
  rule       = "heed-negative-feedback"
  backups    = "${local.name}-backups-${var.account_id}"
  # What the backups' keys begin with; HEED_BACKUP_TO names the same.
  backup_prefix = "postgres"

  here = "${var.region}:${var.account_id}"
  arn = {
    bus     = "arn:${local.partition}:events:${local.here}:event-bus/${var.event_bus}"
    rule    = "arn:${local.partition}:events:${local.here}:rule/${var.event_bus}/${local.rule}"
    queue   = "arn:${local.partition}:sqs:${local.here}:${var.event_queue}"
    dead    = "arn:${local.partition}:sqs:${local.here}:${local.dead_queue}"
    backups = "arn:${local.partition}:s3:::${local.backups}"
    # Secrets Manager ends each ARN with six signs of its own.
    secrets = "arn:${local.partition}:secretsmanager:${local.here}:secret:heed/${var.environment}/*"
    alerts  = "arn:${local.partition}:sns:${local.here}:${local.name}-alerts"
    images  = [for name in local.images : "arn:${local.partition}:ecr:${local.here}:repository/${name}"]
    cluster = "arn:${local.partition}:eks:${local.here}:cluster/${local.name}"
  }
}
