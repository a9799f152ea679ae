"""What every HTTP service shares: problem documents, limits on requests, security headers, health, serving."""
