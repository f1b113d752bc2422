#!/usr/bin/perl
# A stand-in for Claude Code that appends to its transcripts what a plan says. $PLAN is the plan's path: attempt
# N of a run follows $PLAN.N, and appends its run, number, subscription and session to $PLAN.ran. The lines of a
# plan, by their first letter:
#   > FILE    writes the following rows to this file (below $RECORDS; @U@ is the session)
#   = ROW     writes a row (@NOW@ is the time of writing, @SOON@ an hour later in epoch seconds)
#   ~ TEXT    writes the beginning of a row, without an end
#   # N       writes a row of about N bytes without usage
#   < FILE    copies every row of another session's file, as a fork does: each copy names its original session
#   @ NAME N  waits until N runs have reached this barrier
#   ! N       sets the exit status
use strict;
use warnings;
use Time::HiRes qw(sleep stat time);

my ($session, $resumed);
for my $at (0 .. $#ARGV) {
    $session = $ARGV[$at + 1] if $ARGV[$at] eq '--session-id';
    $resumed = $ARGV[$at + 1] if $ARGV[$at] eq '--resume';
}
my ($plan, $records) = @ENV{qw(PLAN RECORDS)};
# `--continue` resumes the session that was written last.
my ($latest) = sort { (stat $b)[9] <=> (stat $a)[9] } glob "$records/*-*-*-*-*.jsonl";
$session //= $resumed // ($latest =~ m{([^/]+)\.jsonl$})[0];

my $attempt = 1;
$attempt++ while -e "$plan.$attempt.done";
rename "$plan.$attempt", "$plan.$attempt.done" or die "no plan for attempt $attempt of $plan";
append("$plan.ran", join(' ', $ENV{KAGE_RUN}, $attempt, $ENV{KAGE_SUBSCRIPTION}, $session) . "\n");

my ($file, $status) = (undef, 0);
open my $steps, '<', "$plan.$attempt.done" or die $!;
while (my $step = <$steps>) {
    my ($kind, $text) = $step =~ /^(.) ?(.*)\n/;
    $text =~ s/\@U\@/$session/g;
    $text =~ s/\@NOW\@/now()/ge;
    $text =~ s/\@SOON\@/int(time) + 3600/ge;
    if ($kind eq '>') { $file = "$records/$text"; make_parents($file) }
    elsif ($kind eq '=') { append($file, "$text\n") }
    elsif ($kind eq '~') { append($file, $text) }
    elsif ($kind eq '#') { append($file, '{"type":"user","timestamp":"' . now() . '","x":"' . 'x' x $text . "\"}\n") }
    elsif ($kind eq '<') { append($file, rows_of("$records/$text")) }
    elsif ($kind eq '@') { wait_at_barrier(split ' ', $text) }
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

sub append {
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

sub wait_at_barrier {
    my ($name, $count) = @_;
    append("$plan.$name.here", '');
    my $dir = $plan =~ s{[^/]+$}{}r;
    for (1 .. 6000) {
        my @here = glob "$dir*.$name.here";
        return if @here >= $count;
        sleep 0.005;
    }
    die "waited in vain for $count at $name";
}
