# What comes with Perl: JSON, big numbers, digests, compression, encodings, dates.
use strict;
use warnings;
use utf8;
use Compress::Zlib;
use Data::Dumper;
use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha256_hex sha512_base64);
use Encode qw(encode decode);
use Getopt::Long qw(GetOptionsFromArray);
use JSON::PP;
use Math::BigFloat;
use Math::BigInt;
use MIME::Base64;
use MIME::QuotedPrint;
use Text::ParseWords;
use Text::Wrap qw(wrap);
use Time::Local;
use Unicode::Normalize;

binmode STDOUT, ':encoding(UTF-8)';
my $json = JSON::PP->new->utf8;
my $data = { map { ("key $_" => [$_, $_ / 7, "é$_", { nested => \1 }, undef]) } 1 .. 60 };
# In the order of the hash, which is another in each run.
my $text = $json->encode($data);
print length $text, ' ', substr($text, 0, 100), "\n";
print $json->canonical->encode($json->decode($text)) eq $json->encode($data) ? 'same' : 'another', "\n";
print eval { $json->decode('{"a": [1, 2') } // $@ =~ s/ at \S+ line.*//sr, "\n";

print Math::BigInt->new(2)->bpow(521)->bsub(1), "\n", Math::BigFloat->bpi(60), "\n";
print Math::BigInt->new('123456789' x 4)->bmodpow(65537, Math::BigInt->new('1000000007' x 3)), "\n";
my $bytes = join '', map { chr($_ * 31 % 256) } 1 .. 50000;
print md5_hex($bytes), ' ', sha256_hex($bytes), ' ', sha512_base64($bytes), "\n";
my $packed = Compress::Zlib::memGzip($bytes);
print length $packed, ' ', Compress::Zlib::memGunzip($packed) eq $bytes ? 'same' : 'another', ' ', crc32($bytes), "\n";
print length encode_base64($bytes), ' ', decode_base64(encode_base64 $bytes) eq $bytes, ' ', encode_qp(encode('UTF-8', "naïve = ½\n"));
print decode('iso-8859-15', "\xa4 uro"), ' ', length encode('UTF-16LE', 'größer'), ' ', NFD("\x{e9}") eq "e\x{301}", ' ', uc 'straße', ' ', lc 'ΑΣ', "\n";
print scalar(gmtime timegm(0, 0, 12, 29, 1, 2024)), ' ', scalar localtime(0), "\n";
print wrap('', '  ', join ' ', map { "word$_" } 1 .. 60), "\n";
print join('|', shellwords q(one "two three" four\ five 'six')), "\n";
GetOptionsFromArray([qw(--size=5 -v -v --name ftrun rest)], 'size=i' => \my $size, 'v+' => \my $v, 'name=s' => \my $name);
print "$size $v $name\n";
local $Data::Dumper::Indent = 1;
local $Data::Dumper::Sortkeys = 1;
print Dumper({ list => [1, 'two', \'three'], code => qr/x+/i });
my $code = join "\n", map { "sub made$_ { return \$_[0] + $_ }" } 1 .. 2000;
eval "$code; 1" or die;
my $sum = 0;
{ no strict 'refs'; $sum = "made$_"->($sum) for 1 .. 2000; }
print "$sum\n";
print sprintf('%vd', $^V), ' ', scalar(keys %INC), ' ', join(',', (sort keys %INC)[0 .. 2]), "\n";
