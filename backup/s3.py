"""S3, AWS's or another that speaks it, as the place for backups; the only module here with boto3.

Guarantees: a file is sent in parts as it comes, never held whole; S3 shows it only when all of it is there. Credentials
come from AWS's default chain (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's role).
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from backup.place import CHUNK
from heed.errors import Later
from heed.settings import Settings

# A file may have 10,000 parts: they begin at 16 MiB and grow by as much after each thousand, which makes 880 GB.
PART = 16 << 20
PARTS_OF_A_SIZE = 1000


class S3:
    """See `Place`."""

    def __init__(self, bucket: str, prefix: str, settings: Settings) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.name = f"s3://{bucket}/{self._prefix}"
        self._s3 = boto3.client(
            "s3",
            endpoint_url=str(settings.s3_endpoint) if settings.s3_endpoint else None,
            region_name=settings.aws_region,
            config=Config(
                connect_timeout=5,
                read_timeout=60,
                retries={"mode": "standard", "total_max_attempts": 4},
                # Other S3s do not know AWS's newer checksums; the manifest has its own.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def check(self) -> str | None:
        """None when the bucket is there and open to us."""
        try:
            self._list("list_objects_v2", MaxKeys=1)
        except Later as error:
            return str(error)
        return None

    def files(self) -> dict[str, int]:
        """See `Place`. What lies deeper is not ours."""
        found: dict[str, int] = {}
        token: dict[str, str] = {}
        while True:
            page = self._list("list_objects_v2", **token)
            with self._told():
                for item in page.get("Contents", ()):
                    name = item["Key"].removeprefix(self._prefix)
                    if name and "/" not in name:
                        found[name] = item["Size"]
                if not page.get("IsTruncated"):
                    return found
                token = {"ContinuationToken": page["NextContinuationToken"]}

    def read(self, name: str) -> Iterator[bytes]:
        """See `Place`."""
        with self._told():
            body = self._s3.get_object(Bucket=self._bucket, Key=f"{self._prefix}{name}")["Body"]
            with contextlib.closing(body):
                yield from body.iter_chunks(CHUNK)

    @contextmanager
    def write(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """See `Place`."""
        target = {"Bucket": self._bucket, "Key": f"{self._prefix}{name}"}
        with self._told():
            upload = {**target, "UploadId": self._s3.create_multipart_upload(**target)["UploadId"]}
        parts: list[dict[str, Any]] = []
        waiting = bytearray()
        size = 0

        def send() -> None:
            number = len(parts) + 1
            with self._told():
                answer = self._s3.upload_part(**upload, PartNumber=number, Body=bytes(waiting))
                parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            waiting.clear()

        def write(data: bytes) -> None:
            nonlocal size
            size += len(data)
            waiting.extend(data)
            if len(waiting) >= PART * (1 + len(parts) // PARTS_OF_A_SIZE):
                send()

        try:
            yield write
            if waiting or not parts:
                send()
            with self._told():
                self._s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
                there = self._s3.head_object(**target)["ContentLength"]
        except BaseException:
            with contextlib.suppress(BotoCoreError, ClientError):  # or a later run sweeps it away
                self._s3.abort_multipart_upload(**upload)
            raise
        if there != size:
            raise Later(f"{self.name} has {there} of {size} bytes of {name}")

    def delete(self, name: str) -> None:
        """See `Place`."""
        with self._told():
            self._s3.delete_object(Bucket=self._bucket, Key=f"{self._prefix}{name}")

    def sweep(self) -> None:
        """See `Place`."""
        for upload in self._list("list_multipart_uploads").get("Uploads", ()):
            if upload["Key"].startswith(self._prefix) and "/" not in upload["Key"].removeprefix(self._prefix):
                with self._told():
                    self._s3.abort_multipart_upload(Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"])

    def _list(self, operation: str, **options: Any) -> dict[str, Any]:
        with self._told():
            answer: dict[str, Any] = getattr(self._s3, operation)(Bucket=self._bucket, Prefix=self._prefix, **options)
        return answer

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise Later(f"{self.name}: S3 says {error.response.get('Error', {}).get('Code', 'no')}") from error
        except (BotoCoreError, KeyError) as error:  # KeyError: a proxy's page with status 200, say
            raise Later(f"{self.name} cannot be reached: {type(error).__name__}") from error
