"""Fills the secrets that Terraform made places for: `make secrets-eks`, once after the first `terraform apply`.

Guarantees: a secret that has a value keeps it, so that this may run again at any time; no value is printed, is written
to a disk or passes through Terraform. Zendesk's come from the environment (HEED_ZENDESK_SUBDOMAIN, _EMAIL, _TOKEN and,
if its webhook is used, _WEBHOOK_SECRET); without them that one secret waits.
"""

import argparse
import json
import os
import secrets
import sys
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from heed.secrets import SECRETS

ZENDESK = ("HEED_ZENDESK_SUBDOMAIN", "HEED_ZENDESK_EMAIL", "HEED_ZENDESK_TOKEN")


def app() -> dict[str, str]:
    """What the two sites sign and let in with."""
    return {name: SECRETS[name]() for name in ("HEED_SECRET_KEY", "HEED_ADMIN_PASSWORD", "HEED_API_KEY")}


def database() -> dict[str, str]:
    """For the Postgres in the cluster; for a managed one put its address here by hand."""
    password = secrets.token_hex(24)
    return {
        "POSTGRES_PASSWORD": password,
        "HEED_DATABASE_URL": f"postgresql://heed:{password}@postgres:5432/heed",
    }


def redis() -> dict[str, str]:
    """For the Redis in the cluster; for a managed one put its address here by hand."""
    password = secrets.token_hex(24)
    return {
        "REDIS_PASSWORD": password,
        "HEED_REDIS_URL": f"redis://:{password}@redis:6379/0",
        "redis.conf": f"requirepass {password}\n",
    }


def zendesk() -> dict[str, str] | None:
    """What the environment says of Zendesk; None when something is missing."""
    said = {name: os.environ.get(name, "") for name in (*ZENDESK, "HEED_ZENDESK_WEBHOOK_SECRET")}
    return said if all(said[name] for name in ZENDESK) else None


def fill(client: Any, environment: str) -> bool:
    """Fill what is empty, and tell of each; False when one still waits."""
    complete = True
    for make in (app, database, redis, zendesk):
        name = f"heed/{environment}/{make.__name__}"
        if client.describe_secret(SecretId=name).get("VersionIdsToStages"):
            said = "has a value already; it stays"
        elif (values := make()) is None:
            complete = False
            said = f"waits: set {', '.join(ZENDESK)} and run this again"
        else:
            client.put_secret_value(SecretId=name, SecretString=json.dumps(values))
            said = "filled"
        sys.stdout.write(f"{name}: {said}\n")
    return complete


def main() -> int:
    """Exit code 1 when a secret still waits."""
    parser = argparse.ArgumentParser(description="Fills the secrets that are empty.")
    parser.add_argument("--environment", default="production", help="as in terraform.tfvars")
    parser.add_argument("--region", default="eu-central-1", help="as in terraform.tfvars")
    chosen = parser.parse_args()
    try:
        return 0 if fill(boto3.client("secretsmanager", region_name=chosen.region), chosen.environment) else 1
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "no")
        sys.exit(
            f"Secrets Manager says {code}. Was `terraform apply` run, in {chosen.region} and for {chosen.environment}?"
        )
    except BotoCoreError as error:
        sys.exit(f"Secrets Manager cannot be reached: {type(error).__name__}. Are you logged in to AWS?")


if __name__ == "__main__":
    sys.exit(main())
