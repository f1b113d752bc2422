#!/usr/bin/perl
# A stand-in for Claude Code that appends to its transcripts what a plan says. $PLAN is the plan's path: attempt
# N of a run follows $PLAN.N, and notes in $PLAN.ran by whom and where. Lines of a plan, by their first letter:
#   > FILE    the rows that follow go there (below $RECORDS; @U@ is the session)
#   = ROW     a row (@NOW@ is the time of writing, @SOON@ an hour later in seconds)
#   ~ TEXT    the beginning of a row, without an end
#   # N       a row of N bytes that tells nothing
#   < FILE    every row of another session's file, as a fork copies them: a copy names the session it is of
#   @ NAME N  waits until N runs have come here
#   ! N       ends with this status
use strict;
use warnings;
use Time::HiRes qw(sleep stat time);

my ($session, $resumed);
for my $at (0 .. $#ARGV) {
    $session = $ARGV[$at + 1] if $ARGV[$at] eq '--session-id';
    $resumed = $ARGV[$at + 1] if $ARGV[$at] eq '--resume';
}
my ($plan, $records) = @ENV{qw(PLAN RECORDS)};
# `--continue` goes on with what was written last.
my ($latest) = sort { (stat $b)[9] <=> (stat $a)[9] } glob "$records/*-*-*-*-*.jsonl";
$session //= $resumed // ($latest =~ m{([^/]+)\.jsonl$})[0];

my $attempt = 1;
$attempt++ while -e "$plan.$attempt.done";
rename "$plan.$attempt", "$plan.$attempt.done" or die "no plan for attempt $attempt of $plan";
note("$plan.ran", join(' ', $ENV{KAGE_RUN}, $attempt, $ENV{KAGE_SUBSCRIPTION}, $session) . "\n");

my ($file, $status) = (undef, 0);
open my $steps, '<', "$plan.$attempt.done" or die $!;
while (my $step = <$steps>) {
    my ($kind, $text) = $step =~ /^(.) ?(.*)\n/;
    $text =~ s/\@U\@/$session/g;
    $text =~ s/\@NOW\@/now()/ge;
    $text =~ s/\@SOON\@/int(time) + 3600/ge;
    if ($kind eq '>') { $file = "$records/$text"; make_parents($file) }
    elsif ($kind eq '=') { note($file, "$text\n") }
    elsif ($kind eq '~') { note($file, $text) }
    elsif ($kind eq '#') { note($file, '{"type":"user","timestamp":"' . now() . '","x":"' . 'x' x $text . "\"}\n") }
    elsif ($kind eq '<') { note($file, rows_of("$records/$text")) }
    elsif ($kind eq '@') { meet(split ' ', $text) }
    elsif ($kind eq '!') { $status = $text }
}
print "done\n";
exit $status;

sub now {
    my $now = time;
    my ($second, $minute, $hour, $day, $month, $year) = gmtime $now;
    return sprintf '%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', $year + 1900, $month + 1, $day, $hour, $minute, $second,
        ($now - int $now) * 1000;
}

sub note {
    my ($path, $text) = @_;
    open my $out, '>>', $path or die "$path: $!";
    print $out $text;
    close $out or die $!;
}

sub rows_of {
    my ($path) = @_;
    open my $in, '<', $path or die "$path: $!";
    local $/;
    my $rows = <$in>;
    my ($of) = $path =~ m{([^/]+)\.jsonl$};
    $rows =~ s/("requestSessionId":"[^"]*",)?"sessionId" ?: ?"$of"/($1 \/\/ qq("requestSessionId":"$of",)) . qq("sessionId":"$session")/ge;
    return $rows;
}

sub make_parents {
    my ($path) = @_;
    for (my $at = 1; ($at = index $path, '/', $at) > 0; $at++) { mkdir substr $path, 0, $at }
}

sub meet {
    my ($name, $count) = @_;
    note("$plan.$name.here", '');
    my $dir = $plan =~ s{[^/]+$}{}r;
    for (1 .. 6000) {
        my @here = glob "$dir*.$name.here";
        return if @here >= $count;
        sleep 0.005;
    }
    die "waited in vain for $count at $name";
}
