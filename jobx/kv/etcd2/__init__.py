"""The store on etcd's v2 API, for old servers: no transactions, so a guard carries its unit."""
