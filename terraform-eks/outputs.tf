# What the next steps ask for; `terraform output` shows it. None of it is secret.

output "kubeconfig" {
  description = "The command that lets kubectl reach the cluster"
  value       = "aws eks update-kubeconfig --region ${var.region} --name ${module.eks.cluster_name}"
}

output "registry" {
  description = "Where images are pushed to, and pulled from"
  value       = "${var.account_id}.dkr.ecr.${var.region}.amazonaws.com"
}

output "settings" {
  description = "What k8s/overlays/eks has to say to Heed"
  value = {
    HEED_AWS_REGION   = var.region
    HEED_EVENT_BUS    = var.event_bus
    HEED_EVENT_QUEUE  = var.event_queue
    HEED_BACKUP_TO    = "s3://${local.backups}/${local.backup_prefix}"
    HEED_FEEDBACK_URL = "https://${var.feedback_host}"
    HEED_RESULTS_URL  = "https://${var.results_host}"
  }
}

output "secrets" {
  description = "The secrets to fill (make secrets-eks)"
  value       = sort([for secret in aws_secretsmanager_secret.heed : secret.name])
}

output "queue_url" {
  description = "The queue whose depth KEDA scales ticketing by"
  value       = aws_sqs_queue.tickets.url
}

output "deployer_role" {
  description = "The role that Jenkins takes; none without `deployers`"
  value       = one(aws_iam_role.deployer[*].arn)
}

output "alerts_topic" {
  description = "Where alerts go; its mail has a link to confirm"
  value       = aws_sns_topic.alerts.arn
}
