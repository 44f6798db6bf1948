"""Recording datasets: policies played by collectors, cut into episodes, kept in shards."""
