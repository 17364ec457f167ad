"""The KVM lane: the scenarios under KVM on any machine, and held against a run under TCG."""
