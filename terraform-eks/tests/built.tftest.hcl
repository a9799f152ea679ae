# What would be built, planned with providers that are mocked: no account is needed, and nothing is made.
# In the whole plan of the first run tests/infra looks for more.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_lb" {
    defaults = { dns_name = "sites.elb.example", zone_id = "Z215JYRZR1TBD5" }
  }

  # The real provider looks at the form of each ARN.
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-central-1:123456789012:mocked" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:123456789012:key/mocked" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mocked" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:123456789012:mocked" }
  }
  mock_resource "aws_cloudwatch_event_bus" {
    defaults = { arn = "arn:aws:events:eu-central-1:123456789012:event-bus/mocked" }
  }
  mock_resource "aws_acm_certificate" {
    defaults = {
      arn = "arn:aws:acm:eu-central-1:123456789012:certificate/mocked"
      domain_validation_options = [
        { domain_name = "feedback.example.com", resource_record_name = "_a.example.com", resource_record_type = "CNAME", resource_record_value = "_a.acm.example" },
        { domain_name = "results.example.com", resource_record_name = "_b.example.com", resource_record_type = "CNAME", resource_record_value = "_b.acm.example" },
      ]
    }
  }
  mock_resource "aws_acm_certificate_validation" {
    defaults = { certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/mocked" }
  }

  # So that policies that name what is built show in the plan as well.
  override_during = plan
}

mock_provider "helm" {
  override_during = plan
}

override_module {
  target = module.vpc
  outputs = {
    vpc_id                  = "vpc-0123456789abcdef0"
    private_subnets         = ["subnet-a", "subnet-b", "subnet-c"]
    private_route_table_ids = ["rtb-a", "rtb-b", "rtb-c"]
  }
}

override_module {
  target = module.eks
  outputs = {
    cluster_name                       = "heed-production"
    cluster_endpoint                   = "https://cluster.example"
    cluster_certificate_authority_data = "Y2VydGlmaWNhdGU="
  }
}

variables {
  account_id        = "123456789012"
  feedback_host     = "feedback.example.com"
  results_host      = "results.example.com"
  zone_id           = "Z0123456789ABCDEFGHIJ"
  alert_email       = "on-call@example.com"
  api_allowed_cidrs = ["203.0.113.7/32"]
  admins            = ["arn:aws:iam::123456789012:role/builder"]
  deployers         = ["arn:aws:iam::123456789012:role/jenkins"]
}

run "everything" {
  command = plan

  variables {
    agent_nodes = 1
  }

  assert {
    condition     = aws_cloudwatch_event_rule.tickets.event_pattern == file("../heed/contracts/rule-pattern.json")
    error_message = "The rule's pattern is not the contracts' file."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.tickets.redrive_policy).maxReceiveCount == 10
    error_message = "A message is given up after another number of deliveries than in the local system."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.dead.redrive_allow_policy).sourceQueueArns == [local.arn.queue]
    error_message = "Another queue than ours may give up its messages here."
  }

  assert {
    condition     = output.settings.HEED_BACKUP_TO == "s3://heed-production-backups-123456789012/postgres"
    error_message = "The backups' address is not the bucket's."
  }

  assert {
    condition     = toset([for record in aws_route53_record.site : record.name]) == toset(["feedback.example.com", "results.example.com"])
    error_message = "The two sites do not have their names."
  }

  assert {
    condition     = aws_route53_record.proof["results.example.com"].name == "_b.example.com"
    error_message = "A host name is proven with another one's record."
  }
}

run "data_stays_unless_told" {
  command = plan

  assert {
    condition     = !aws_s3_bucket.backups.force_destroy && alltrue([for image in aws_ecr_repository.image : !image.force_delete])
    error_message = "Destroying would take data along without asking."
  }

  assert {
    condition     = alltrue([for secret in aws_secretsmanager_secret.heed : secret.recovery_window_in_days == 30])
    error_message = "Secrets would be gone at once."
  }
}

run "data_goes_when_told" {
  command = plan

  variables {
    delete_data = "delete production"
  }

  assert {
    condition     = aws_s3_bucket.backups.force_destroy
    error_message = "The bucket still refuses to be destroyed."
  }
}

run "nobody_delivers_unless_named" {
  command = plan

  variables {
    deployers = []
  }

  assert {
    condition     = length(aws_iam_role.deployer) == 0 && output.deployer_role == null
    error_message = "There is a role for nobody."
  }
}

run "another_environment_has_names_of_its_own" {
  command = plan

  variables {
    environment = "staging"
    event_bus   = "heed-staging"
    event_queue = "heed-staging-tickets"
    region      = "us-east-1"
    zones       = ["a", "b", "d"]
  }

  assert {
    condition     = aws_sqs_queue.dead.name == "heed-staging-tickets-dead" && aws_s3_bucket.backups.bucket == "heed-staging-backups-123456789012"
    error_message = "It would meet the other environment."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.pod["relay"].policy).Statement[0].Resource == ["arn:aws:events:us-east-1:123456789012:event-bus/heed-staging"]
    error_message = "The relay may not use its own bus."
  }

  assert {
    condition     = contains(output.secrets, "heed/staging/app")
    error_message = "Secrets are looked for elsewhere."
  }
}
