# Closures, references, objects with destructors, numbers, signals to itself.
use strict;
use warnings;
use POSIX ();
use Time::HiRes qw(time sleep);
use List::Util qw(sum reduce shuffle);

my @counters = map { my ($step, $value) = ($_, 0); sub { $value += $step } } 1 .. 500;
my $total = 0;
for (1 .. 50) { $total += $_->() for @counters }
print "closures $total $counters[0]\n";

package Held { my $alive = 0; sub new { $alive++; bless { data => 'x' x 100, self => $_[1] }, $_[0] } sub DESTROY { $alive-- } sub alive { $alive } }
my $chain;
for my $i (1 .. 60000) { $chain = $i % 500 ? Held->new($chain) : undef }
print 'alive ', Held::alive(), "\n";
my %tree;
$tree{ $_ % 97 }{ $_ % 89 }{$_} = [$_, { square => $_ * $_ }] for 1 .. 20000;
print scalar(keys %tree), ' ', sum(map { map { scalar keys %$_ } values %$_ } values %tree), "\n";
print join(',', (shuffle 1 .. 30)[0 .. 9]), ' ', (reduce { $a * 31 + $b & 0xffff } 1 .. 1000), "\n";

my $x = 0.1;
$x = 3.99 * $x * (1 - $x) + 1e-6 * sin $_ for 1 .. 100000;
printf "%.17g %.17g %a %s %s\n", $x, atan2($x, 3) ** 2.5, $x, 9**9**9, -17 % 5;
print unpack('H*', pack 'd>w/a*N/a*', 2.5, 'ftrun', 'x' x 3), ' ', POSIX::fmod(17.5, 5), "\n";
print eval { die { code => 7 } } // "died with $@->{code}", "\n";

my @got;
$SIG{USR1} = sub { push @got, "USR1 $_[0]" };
$SIG{ALRM} = sub { push @got, 'alarm' };
kill USR1 => $$;
alarm 1;
select undef, undef, undef, 5;
my $before = time;
sleep 0.01;
print "@got ", time - $before >= 0.01 ? 'slept' : 'woke early', "\n";
pipe my $r, my $w or die;
syswrite $w, 'through a pipe';
sysread $r, my $read, 100;
print "$read\n";
my $string = '';
$string .= chr(33 + $_ % 90) for 1 .. 300000;
print length $string, ' ', unpack('%32C*', $string), ' ', (sort split //, substr $string, 0, 100)[50], "\n";
local $| = 1;
print STDERR "done\n";
