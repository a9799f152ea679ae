# Mistakes are refused before anything is built, each by the variable that it is in.

mock_provider "aws" {}
mock_provider "helm" {}

variables {
  account_id        = "123456789012"
  feedback_host     = "feedback.example.com"
  results_host      = "results.example.com"
  zone_id           = "Z0123456789ABCDEFGHIJ"
  alert_email       = "on-call@example.com"
  api_allowed_cidrs = ["203.0.113.7/32"]
  admins            = ["arn:aws:iam::123456789012:role/builder"]
}

run "all_at_once" {
  command = plan

  variables {
    account_id         = "heed"
    region             = "Frankfurt"
    environment        = "Production"
    feedback_host      = "https://feedback.example.com/"
    zone_id            = "example.com"
    api_allowed_cidrs  = ["0.0.0.0/0"]
    alert_email        = "on-call"
    monthly_budget     = 0
    vpc_cidr           = "10.20.0.0/24"
    zones              = ["a", "b", "b"]
    kubernetes_version = "latest"
    node_types         = []
    nodes_per_zone     = { min = 0, max = 4 }
    event_bus          = "default"
    event_queue        = "heed.fifo"
    events_visibility  = 30
    archive_days       = 0
    deployers          = ["jenkins"]
    agent_nodes        = 5
  }

  expect_failures = [
    var.account_id, var.region, var.environment, var.feedback_host, var.zone_id, var.api_allowed_cidrs, var.alert_email,
    var.monthly_budget, var.vpc_cidr, var.zones, var.kubernetes_version, var.node_types, var.nodes_per_zone,
    var.event_bus, var.event_queue, var.events_visibility, var.archive_days, var.deployers, var.agent_nodes,
  ]
}

run "both_sites_on_one_host" {
  command = plan

  variables {
    results_host = "feedback.example.com"
  }

  expect_failures = [var.results_host]
}

run "nobody_reaches_the_cluster" {
  command = plan

  variables {
    api_allowed_cidrs = []
  }

  expect_failures = [var.api_allowed_cidrs]
}

run "more_nodes_at_least_than_at_most" {
  command = plan

  variables {
    nodes_per_zone = { min = 3, max = 2 }
  }

  expect_failures = [var.nodes_per_zone]
}

run "another_environments_data" {
  command = plan

  variables {
    delete_data = "delete staging"
  }

  expect_failures = [var.delete_data]
}

run "a_session_rules_nothing" {
  command = plan

  variables {
    admins = ["arn:aws:sts::123456789012:assumed-role/builder/session"]
  }

  expect_failures = [var.admins]
}

run "one_is_named_twice" {
  command = plan

  variables {
    deployers = ["arn:aws:iam::123456789012:role/builder"]
  }

  expect_failures = [var.admins]
}
