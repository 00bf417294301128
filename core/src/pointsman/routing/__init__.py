"""Where a call can go: snapshot, pools, deployments and leases."""
