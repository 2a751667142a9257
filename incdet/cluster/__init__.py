"""Many machines: photos are worked on by the workers of a Ray cluster, and their results are kept part by part."""
