# Another life of the device has the same files.
set -e
mkdir -p /mnt
mount -o ro /dev/nvme0n1 /mnt
cd /mnt
sha256sum -c sums | tail -n 1
sha256sum -c -s sums
echo "$(wc -l < sums) files"
cd /
umount /mnt
e2fsck -fn /dev/nvme0n1
