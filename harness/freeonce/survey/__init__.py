"""What a CPU's SVM can do, and the lane that holds KVM against TCG."""
