# fio writes, reads back and compares; every queue and every vector is used.
set -e
check() {
    fio --filename=/dev/nvme0n1 --direct=1 --verify=crc32c --verify_fatal=1 --group_reporting --output-format=normal "$@"
}
processors=$(grep -c ^processor /proc/cpuinfo)
check --name=random --rw=randrw --bs=4k --size=2m --offset_increment=8m --numjobs=$processors --cpus_allowed_policy=split \
    --cpus_allowed=0-$((processors - 1)) --ioengine=libaio --iodepth=16
check --name=sequential --rw=write --bs=128k --size=8m --ioengine=libaio --iodepth=4
check --name=mixed --rw=randrw --bsrange=512-256k --bs_unaligned=0 --blockalign=512 --size=4m --ioengine=io_uring --iodepth=32
fio --filename=/dev/nvme0n1 --direct=1 --name=trim --rw=trimwrite --bs=16k --size=1m --ioengine=libaio --iodepth=8

# What was trimmed reads as zeroes.
blkdiscard -o 0 -l 1048576 /dev/nvme0n1
test $(dd if=/dev/nvme0n1 bs=64k count=16 iflag=direct | tr -d '\000' | wc -c) = 0

grep nvme0q /proc/interrupts
for queue in $(seq 0 $processors); do
    count=$(awk -v queue="nvme0q$queue" '$NF == queue { for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+$/) sum += $i } END { print sum + 0 }' /proc/interrupts)
    test $count -gt 0
done
! dmesg | grep -iE 'nvme nvme.*(timeout|error|abort)'
