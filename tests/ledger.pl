#!/usr/bin/env perl
# Writes a ledger of N attempts over the last twelve months. With a third argument it also writes N answers as
# transcripts of Claude Code: ledger.pl N LEDGER [PROJECTS]
use strict;
use warnings;
use POSIX qw(strftime);

my ($attempts, $ledger, $projects) = @ARGV;
my $seed = 7;
sub dice { $seed = ($seed * 1103515245 + 12345) & 0x7fffffff; return ($seed >> 8) % $_[0]; }

my @subscriptions = map { "subscription-$_" } 1 .. 6;
my @namespaces    = map { "namespace-$_" } 1 .. 5;
my @directories   = map { "/home/user/src/project-$_" } 1 .. 40;
my @models        = qw(claude-opus-5-5 claude-sonnet-5-5 claude-haiku-4-5-20251001 claude-opus-5);
my @verdicts      = (("succeeded") x 17, "usage_limit", "agent_failed", "interrupted");
my $now           = time;
my $span          = 365 * 86400;
my (%months, %sessions);

for my $at (0 .. $attempts - 1) {
    my $time      = $now - $span + int($span * $at / $attempts);
    my @utc       = gmtime $time;
    my $month     = strftime("%Y-%m", @utc);
    my $stamp     = strftime("%Y-%m-%dT%H:%M:%S", @utc) . sprintf(".%03dZ", dice(1000));
    my $run       = sprintf("%08x%08x", $at, dice(0x7fffff));
    my $session   = sprintf("%08x-0000-4000-8000-%012x", $at, dice(0x7fffff));
    my $directory = $directories[dice(40)];
    my $verdict   = $verdicts[dice(20)];
    my $model     = $models[dice(4)];
    my @counts    = (dice(2000), dice(4000), dice(90000), 0, dice(9000), 0);
    my $models    = sprintf('"%s":{"input_tokens":%d,"output_tokens":%d,"cache_read_tokens":%d,'
        . '"cache_write_5m_tokens":%d,"cache_write_1h_tokens":%d,"reasoning_tokens":%d}', $model, @counts);
    my $file = $months{$month};
    if (!$file) {
        open $file, ">", "$ledger/$month.jsonl" or die "$ledger/$month.jsonl: $!";
        $months{$month} = $file;
    }
    printf $file '{"time":"%s","run":"%s","attempt":1,"subscription":"%s","agent":"claude","namespace":"%s",'
        . '"level":"normal","cwd":"%s","session":"%s","verdict":"%s","exit":0,"duration_ms":%d,"models":{%s}}' . "\n",
        $stamp, $run, $subscriptions[dice(6)], $namespaces[dice(5)], $directory, $session, $verdict,
        dice(600000), $models;
    next if !$projects;
    # Sessions of 200 answers each, a realistic length.
    my $slug = $directory =~ s{[^A-Za-z0-9]}{-}gr;
    my $of   = int($at / 200);
    my $out  = $sessions{file};
    if (($sessions{of} // -1) != $of) {
        mkdir "$projects/$slug";
        my $name = sprintf("%08x-0000-4000-8000-000000000000", $of);
        open $out, ">", "$projects/$slug/$name.jsonl" or die "$projects/$slug: $!";
        %sessions = (of => $of, file => $out, name => $name, cwd => $directory);
    }
    printf $out '{"type":"assistant","uuid":"%s","parentUuid":null,"isSidechain":false,"timestamp":"%s",'
        . '"sessionId":"%s","cwd":"%s","version":"2.1.332","gitBranch":"main","requestId":"req_%s",'
        . '"message":{"id":"msg_%s","type":"message","role":"assistant","model":"%s",'
        . '"content":[{"type":"text","text":"done"}],"stop_reason":"end_turn","usage":{"input_tokens":%d,'
        . '"output_tokens":%d,"cache_read_input_tokens":%d,"cache_creation_input_tokens":%d,'
        . '"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":%d}}}}' . "\n",
        $session, $stamp, $sessions{name}, $sessions{cwd}, $run, $run, $model, $counts[0], $counts[1],
        $counts[2], $counts[4], $counts[4];
}
