# Text processing: regular expressions, hashes in their random order, sorting, formats. text.pl FILE
use strict;
use warnings;

open my $in, '<', $ARGV[0] or die "cannot open: $!";
my (%count, @lines);
while (my $line = <$in>) {
    chomp $line;
    push @lines, $line;
    $count{lc $1}++ while $line =~ /\b([[:alpha:]]+)\b/g;
}
close $in;
printf "%d lines, %d words\n", scalar @lines, scalar keys %count;
my @ranked = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
print map { "$_ $count{$_}\n" } @ranked[0 .. 9];
# Another order in each run.
print join(' ', (keys %count)[0 .. 40]), "\n";

my $all = join "\n", @lines;
my $swapped = $all =~ s/(\w+) (\w+)/$2 $1/gr;
print substr($swapped, 1000, 300), "\n";
print scalar(() = $all =~ /(?<=e)\s+(?=[a-m])/g), ' ', scalar(() = $all =~ /(\w)\1/g), ' ', ($all =~ tr/aeiou//), "\n";
print "$+{first}-$+{second}\n" if $all =~ /(?<first>\w{8,})\W+(?<second>\w{2})\b(?!\w)/;
my $balanced = qr/\((?:[^()]++|(?R))*\)/;
print "nested $&\n" if 'a (b (c) (d (e))) f' =~ $balanced;
my @fields = map { [split /,\s*/] } ('x, y,z', 'one,two ,three');
print join('|', map { @$_ } @fields), "\n";

open my $out, '>', 'sorted.txt' or die;
print {$out} "$_\n" for sort { length $a <=> length $b or $a cmp $b } @lines;
close $out;
open my $back, '+<', 'sorted.txt' or die;
seek $back, -200, 2;
read $back, my $end, 100;
print "$end\n", -s 'sorted.txt', ' ', (stat 'sorted.txt')[7], ' ', tell $back, "\n";
truncate $back, 10 or die;
close $back;
rename 'sorted.txt', 's.txt' or die;
opendir my $directory, '.' or die;
print join(' ', sort grep { !/^\./ } readdir $directory), "\n";
unlink 's.txt' or die;
our ($word, $number);
format STDOUT =
@<<<<<<<<<<<< @>>>>>>>
$word,        $number
.
for (@ranked[0 .. 4]) { ($word, $number) = ($_, $count{$_}); write; }
print time, ' ', scalar localtime, " $$ ", rand, "\n";
