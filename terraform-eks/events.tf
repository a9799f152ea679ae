# From the relay to ticketing: bus, rule, queue, and where messages end that nobody could use.
#
# Nothing here is the truth: the outbox in Postgres publishes an event again until its ticket stands, so all of this may
# be emptied or built anew (docs/operations.md). Names and numbers equal the code's; tests/infra holds them to it.

resource "aws_cloudwatch_event_bus" "heed" {
  name        = var.event_bus
  description = "Heed ${var.environment}: answers that ask for a ticket"
}

resource "aws_cloudwatch_event_archive" "heed" {
  name             = local.name
  description      = "Every event of the last days, to look back at or to send again"
  event_source_arn = aws_cloudwatch_event_bus.heed.arn
  retention_days   = var.archive_days
}

# The pattern is the one file that the code and the local system read as well.
resource "aws_cloudwatch_event_rule" "tickets" {
  name           = local.rule
  description    = "Answers that need a ticket"
  event_bus_name = aws_cloudwatch_event_bus.heed.name
  event_pattern  = file("${path.module}/../heed/contracts/rule-pattern.json")
}

resource "aws_cloudwatch_event_target" "tickets" {
  rule           = aws_cloudwatch_event_rule.tickets.name
  event_bus_name = aws_cloudwatch_event_bus.heed.name
  target_id      = "tickets"
  arn            = aws_sqs_queue.tickets.arn

  # For an hour: by then the relay publishes the event anew.
  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.dead.arn
  }
}

resource "aws_sqs_queue" "tickets" {
  name                       = var.event_queue
  visibility_timeout_seconds = var.events_visibility
  message_retention_seconds  = 345600 # four days; the relay repeats after an hour at most
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead.arn, maxReceiveCount = 10 })
}

# What was received ten times in vain, and what the rule could not deliver. Only for looking at: the relay publishes anew.
resource "aws_sqs_queue" "dead" {
  name                      = local.dead_queue
  message_retention_seconds = 1209600 # fourteen days, the longest there is
  sqs_managed_sse_enabled   = true

  redrive_allow_policy = jsonencode({ redrivePermission = "byQueue", sourceQueueArns = [local.arn.queue] })
}

# The rule, and it alone, may send to each of the two.
resource "aws_sqs_queue_policy" "from_rule" {
  for_each = {
    (local.arn.queue) = aws_sqs_queue.tickets.url
    (local.arn.dead)  = aws_sqs_queue.dead.url
  }

  queue_url = each.value
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "FromTheRule"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = each.key
        Condition = {
          ArnEquals    = { "aws:SourceArn" = local.arn.rule }
          StringEquals = { "aws:SourceAccount" = var.account_id }
        }
      },
      {
        Sid       = "OnlyEncrypted"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = each.key
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}
