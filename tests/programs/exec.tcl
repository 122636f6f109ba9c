# Children: a command, a pipeline.
puts [exec echo child]
puts [exec cat << "through a pipe" | tr a-z A-Z]
