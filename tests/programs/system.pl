# Children: system, backticks, fork.
use strict;
use warnings;
system('true') == 0 or die "cannot run true: $!";
print `echo child`;
my $pid = fork // die "cannot fork: $!";
exit 3 if !$pid;
waitpid $pid, 0;
print $? >> 8, "\n";
