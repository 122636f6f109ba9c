# Connections to itself: TCP, UNIX, UDP, select, timers that interrupt.
use strict;
use warnings;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket;
use Time::HiRes qw(setitimer ITIMER_REAL);

my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $@";
my (@clients, %number);
my $select = IO::Select->new($listener);
for my $i (0 .. 7) {
    push @clients, IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $listener->sockport) // die "connect: $@";
    ($select->can_read(5))[0] == $listener or die;
    my $accepted = $listener->accept;
    $select->add($accepted);
    $number{$accepted} = $i;
}
print $listener->sockport, ' ', $clients[0]->peerhost, ' ', scalar $select->handles, "\n";
my $bytes = 0;
for my $round (1 .. 60) {
    my $client = $clients[$round * 5 % 8];
    print {$client} "round $round ", 'p' x ($round * 37), "\n";
    $client->flush;
    for my $ready ($select->can_read(5)) {
        my $line = <$ready>;
        $bytes += length $line;
        syswrite $ready, uc $line;
    }
    my $answer = <$client>;
    print substr($answer, 0, 20), ' ', length $answer, "\n" if $round % 15 == 0;
}
print "$bytes\n";
close $clients[3];
my ($closed) = $select->can_read(5);
print $number{$closed}, ' ', sysread($closed, my $nothing, 10), " at the end\n";

socketpair my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die;
$_->autoflush(1) for $a, $b;
print {$a} "through a pair\n";
print scalar <$b>;
shutdown $a, 1;
print defined(scalar <$b>) ? 'more' : 'end', "\n";
my $unix = IO::Socket::UNIX->new(Local => 'socket', Listen => 1) or die "unix: $!";
my $peer = IO::Socket::UNIX->new(Peer => 'socket') or die;
my $served = $unix->accept;
print {$peer} "by a name\n" and $peer->flush;
print scalar <$served>;
print send($served, 'urgent', 0), ' ', getsockopt($peer, SOL_SOCKET, SO_TYPE) ? 'typed' : 'untyped', "\n";

my $udp = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1') or die;
my $to = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $udp->sockport) or die;
$to->send("datagram $_") for 1 .. 5;
for (1 .. 5) { $udp->recv(my $datagram, 100); print "$datagram;" }
print "\n";
my $ticks = 0;
$SIG{ALRM} = sub { $ticks++ };
setitimer(ITIMER_REAL, 0.005, 0.005);
while ($ticks < 5) { select undef, undef, undef, 1 }
setitimer(ITIMER_REAL, 0);
print "5 ticks\n";
print IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => 1) ? 'connected' : 'refused', "\n";
print inet_ntoa(inet_aton '127.0.0.1'), ' ', join('.', unpack 'C4', inet_aton 'localhost'), "\n";
