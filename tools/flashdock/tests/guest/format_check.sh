# Another life of the device has blocks of 512 bytes again, with what was there, byte for byte.
set -e
test $(blockdev --getss /dev/nvme0n1) = 512
bytes=$(blockdev --getsize64 /dev/nvme0n1)
dd if=/dev/nvme0n1 bs=512 count=8 skip=$((bytes / 512 - 8)) iflag=direct of=/tmp/last
yes end | head -c 4096 | cmp - /tmp/last
e2fsck -fn /dev/nvme0n1
mkdir -p /mnt
mount /dev/nvme0n1 /mnt
grep kept /mnt/file
umount /mnt
# What is formatted is gone, here and in the image.
nvme format /dev/nvme0n1 --lbaf=1 --force
test $(blockdev --getss /dev/nvme0n1) = 4096
test $(dd if=/dev/nvme0n1 bs=64k count=16 iflag=direct | tr -d '\000' | wc -c) = 0
