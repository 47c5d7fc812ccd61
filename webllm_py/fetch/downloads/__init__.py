"""From a server into a store, block by block: ranges, digests, repairs, and what has no room."""
