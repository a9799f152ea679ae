# What AWS has to say, by mail: messages given up, messages that nobody takes, money. What the system itself has to say
# comes by the alert rules in monitoring/ and the Alertmanager in platform.tf, to the same topic.

resource "aws_sns_topic" "alerts" {
  name              = "${local.name}-alerts"
  kms_master_key_id = aws_kms_key.data.arn
}

resource "aws_sns_topic_policy" "alerts" {
  arn = aws_sns_topic.alerts.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Alarms"
      Effect    = "Allow"
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = local.arn.alerts
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
}

resource "aws_sns_topic_subscription" "mail" {
  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = var.alert_email
}

locals {
  alarms = {
    dead-letters = {
      says      = "Messages were given up. No ticket is lost (the relay publishes again), but something refuses them: see the log of ticketing."
      metric    = "ApproximateNumberOfMessagesVisible"
      queue     = local.dead_queue
      threshold = 0
      minutes   = 1
    }
    tickets-wait = {
      says      = "Events wait for more than a quarter of an hour. Is ticketing running, does Zendesk answer? See docs/alerts.md."
      metric    = "ApproximateAgeOfOldestMessage"
      queue     = var.event_queue
      threshold = 900
      minutes   = 5
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "queue" {
  for_each = local.alarms

  alarm_name        = "${local.name}-${each.key}"
  alarm_description = each.value.says

  namespace   = "AWS/SQS"
  metric_name = each.value.metric
  dimensions  = { QueueName = each.value.queue }
  statistic   = "Maximum"
  period      = 60

  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  evaluation_periods  = each.value.minutes
  # An idle queue reports nothing.
  treat_missing_data = "notBreaching"

  alarm_actions = [aws_sns_topic.alerts.arn]
  ok_actions    = [aws_sns_topic.alerts.arn]
}

# The whole account's money: tags would miss what is made by the cluster itself.
resource "aws_budgets_budget" "month" {
  name         = local.name
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = tostring(var.monthly_budget)
  limit_unit   = "USD"

  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }

    content {
      notification_type          = notification.key
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      comparison_operator        = "GREATER_THAN"
      subscriber_email_addresses = [var.alert_email]
    }
  }
}
