"""The queue between the form and the worker: Redis Streams in N partitions, admission on one side, a consumer
group on the other. Works alike on Redis 7.2+ and Valkey 8+.
"""
