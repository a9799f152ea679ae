# The place of the state is locked while somebody builds, and keeps old versions.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  account_id  = "123456789012"
  environment = "staging"
}

run "locked_and_kept" {
  command = plan

  assert {
    condition     = strcontains(output.backend, "use_lockfile = true") && strcontains(output.backend, "\"heed-terraform-123456789012\"")
    error_message = "Two could build at once, or elsewhere."
  }

  assert {
    condition     = strcontains(output.backend, "heed/staging.tfstate")
    error_message = "Two environments would share a state."
  }

  assert {
    condition     = aws_s3_bucket_versioning.state.versioning_configuration[0].status == "Enabled"
    error_message = "A state that was overwritten would be gone."
  }

  assert {
    condition     = jsondecode(aws_s3_bucket_policy.state.policy).Statement[0].Resource[0] == "arn:aws:s3:::${aws_s3_bucket.state.bucket}"
    error_message = "The policy is of another bucket."
  }
}
