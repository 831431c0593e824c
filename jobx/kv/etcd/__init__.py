"""The store on etcd, by its v3 API."""
