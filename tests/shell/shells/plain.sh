#!/bin/sh
# An agent that writes its subscription and arguments to a file, each ended by a NUL.
{
  printf '%s\0' "${KAGE_SUBSCRIPTION:-none}"
  for argument; do printf '%s\0' "$argument"; done
} >called.new
case ${1-} in
  sleep)
    echo started >>starts
    echo "$$" >pid
    mv called.new called
    exec sleep 600
    ;;
  status)
    mv called.new called
    exit "$2"
    ;;
esac
mv called.new called
