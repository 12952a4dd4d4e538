#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What rbuild writes, docker and podman read, and the other way round: with those of Debian 13.
#
#   tests/peers.sh RBUILD [DIRECTORY]      as root; prints a line for each check
#
# Makes a chroot in DIRECTORY (1.5 GB) unless it is there, and does everything in it, in a pid and
# a mount namespace of its own: nothing is installed, and no daemon or mount is left behind.
# docs/peers.md says what is known to differ.
set -eu

if [ "${1-}" != --inside ]; then
    rbuild=$1 root=${2:-/var/tmp/rbuild-peers}
    packages=busybox-static,ca-certificates,curl,procps,iproute2,uidmap,jq
    packages+=,docker.io,docker-cli,docker-buildx,docker-registry
    packages+=,podman,buildah,skopeo,crun,runc,fuse-overlayfs
    [ -d "$root/etc" ] || mmdebstrap --variant=minbase --include=$packages trixie "$root" \
        http://deb.debian.org/debian
    install -D "$rbuild" "$root/usr/local/bin/rbuild"
    install "$0" "$root/usr/local/bin/peers"
    exec unshare --mount --propagation private --pid --fork --kill-child bash -euc '
        root=$1
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --rbind /sys "$root/sys"
        # Of a hybrid machine the controllers are in version 1, and crun refuses to choose.
        ! [ -d /sys/fs/cgroup/unified ] || umount "$root/sys/fs/cgroup/unified"
        mount -t tmpfs tmpfs "$root/run"
        mount -t tmpfs tmpfs "$root/tmp"
        exec chroot "$root" env -i HOME=/root TERM=dumb PODMAN_IGNORE_CGROUPSV1_WARNING=1 LC_ALL=C.UTF-8 \
            PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin peers --inside' _ "$root"
fi

failed=0
# check NAME COMMAND…: the command must succeed.
check() {
    local name=$1
    shift
    if "$@" > /tmp/check.log 2>&1; then
        echo "ok    $name"
    else
        echo "FAIL  $name"
        sed 's/^/      /' /tmp/check.log | tail -n 8
        failed=1
    fi
}
# says TEXT COMMAND…: the command must print TEXT.
says() {
    local wanted=$1
    shift
    "$@" | grep -x "$wanted"
}
# await COMMAND…: waits for a daemon, at most 20 seconds.
await() {
    for _ in $(seq 200); do ! "$@" > /dev/null 2>&1 || return 0; sleep 0.1; done
    echo "$* does not succeed" >&2
    exit 1
}
docker() { command docker -H unix:///tmp/docker.sock "$@"; }
containerd() { command docker -H unix:///tmp/containerd.sock "$@"; }
contain() { podman run --rm --net=host --cgroups=disabled "$@"; }

site=127.0.0.1:5001
mkdir -p /tmp/work /etc/containers/registries.conf.d && cd /tmp/work
printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' $site > /etc/containers/registries.conf.d/peers.conf
printf '[containers]\ndefault_ulimits = ["nofile=20000:20000"]\n' > /etc/containers/containers.conf
printf '[storage]\ndriver = "overlay"\nrunroot = "/run/c"\ngraphroot = "/tmp/c"\n' > /etc/containers/storage.conf
printf '[storage.options.pull_options]\nenable_partial_images = "true"\n' >> /etc/containers/storage.conf
printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: /tmp/registry}}\nhttp: {addr: "%s"}\n' $site > registry.yml
docker-registry serve registry.yml > registry.log 2>&1 &
daemon() { # NAME DRIVER FEATURES
    echo "{\"features\":{$3}}" > "$1.json"
    dockerd --config-file "$1.json" --data-root "/tmp/$1" --exec-root "/run/$1" --pidfile "/run/$1.pid" \
        -H "unix:///tmp/$1.sock" --storage-driver "$2" --bridge=none --iptables=false --ip6tables=false \
        --ip-forward=false \
        > "$1.log" 2>&1 &
}
daemon docker vfs ''
daemon containerd native '"containerd-snapshotter":true'
await curl -sf http://$site/v2/
await docker info
await containerd info

export RBUILD_STORE=/tmp/store
mkdir -p base/bin base/tmp context
cp /bin/busybox base/bin
for name in sh cat rm ln mkdir mkfifo chmod; do ln -s busybox base/bin/$name; done
tar -C base --owner=0 --group=0 -cf base.tar .
head -c 3000000 /dev/urandom > context/large
echo hello > context/small
cat > context/Dockerfile <<'END'
FROM base
COPY large small /
RUN --network=none mkdir /d && ln /small /d/hard && ln -s small /d/soft && mkfifo /d/fifo && chmod 4755 /small && rm /bin/chmod
HEALTHCHECK --interval=5s CMD true
ONBUILD RUN true
CMD ["cat", "/small"]
END
rbuild import -q base.tar base > /dev/null
rbuild bud -q -t app:1 context > /dev/null
rbuild push -q base docker://$site/base:1 > /dev/null
sed -i "s#FROM base#FROM $site/base:1#" context/Dockerfile

for form in oci,gzip oci,zstd oci,zstd:chunked docker,gzip; do
    name=$site/ours/${form//[,:]/-}:1
    rbuild push -q --format "${form%,*}" --compression-format "${form#*,}" app:1 "docker://$name"
    for peer in docker containerd; do
        $peer pull -q "$name" > /dev/null || true
        check "rbuild push $form, $peer run" says hello $peer run --rm "$name"
    done
    check "rbuild push $form, podman run" says hello contain "$name"
done
check "podman fetches parts of zstd:chunked" says partial bash -c "
    podman rmi -af; podman --log-level=debug pull $site/ours/oci-zstd-chunked:1 2>&1 |
    grep -q 'Retrieved partial blob' && echo partial"

rbuild bud -q -o type=tar,dest=ours.tar context > /dev/null
listed() { tar --numeric-owner --full-time -tvf "$1" | sed 's# \./# #' | grep -Ev ' (\.dockerenv|(dev|proc|sys|etc)/.*)?$' | sort; }
docker export -o theirs.tar "$(docker create $site/ours/oci-gzip:1)"
same_files() { diff <(listed ours.tar | cut -d' ' -f1,2,6-) <(listed theirs.tar | cut -d' ' -f1,2,6-); }
check "docker export has the same files" same_files

rbuild save -o ours-docker.tar app:1
rbuild save --format oci-archive -o ours-oci.tar app:1
check "rbuild save, docker load" says 'Loaded image: localhost/app:1' docker load -i ours-docker.tar
check "rbuild save, containerd load" says 'Loaded image: localhost/app:1' containerd load -i ours-docker.tar
check "rbuild save (OCI), containerd load" says 'Loaded image: localhost/app:1' containerd load -i ours-oci.tar
check "rbuild save, podman load" podman load -q -i ours-docker.tar
check "rbuild save (OCI), podman load" podman load -q -i ours-oci.tar

export RBUILD_STORE=/tmp/other
rbuilds() { says hello rbuild run "$@"; }
loads() { rbuilds "$(rbuild load -q -i "$1" | tail -n 1 | sed 's/^Loaded image: //; s/^sha256://')"; }
pulls() { rbuilds "$(rbuild pull -q "$1")"; }
for peer in docker containerd; do
    $peer save -o $peer.tar localhost/app:1
    check "$peer save, rbuild load" loads $peer.tar
    $peer tag localhost/app:1 $site/$peer:1 && $peer push -q $site/$peer:1 > /dev/null
    check "$peer push, rbuild pull" pulls $site/$peer:1
done
number=0
for output in type=oci type=oci,compression=zstd type=oci,compression=estargz type=docker type=docker,compression=zstd; do
    number=$((number + 1))
    containerd buildx build -q -o "$output,force-compression=true,dest=$number.tar" context > /dev/null 2>&1 || true
    check "BuildKit -o $output, rbuild load" loads $number.tar
done
for more in compression=gzip compression=zstd compression=zstd,oci-mediatypes=false oci-artifact=true; do
    number=$((number + 1)) && name=$site/buildkit/$number:1
    containerd buildx build -q -o "type=image,push=true,force-compression=true,name=$name,$more" context > /dev/null 2>&1 || true
    check "BuildKit push $more, rbuild pull" pulls $name
done

podman load -q -i ours-docker.tar > /dev/null
for form in oci,gzip oci,zstd oci,zstd:chunked v2s2,gzip; do
    name=$site/podman/${form//[,:]/-}:1
    podman push -q --format "${form%,*}" --compression-format "${form#*,}" --force-compression localhost/app:1 "$name"
    check "podman push $form, rbuild pull" pulls "$name"
done
podman manifest create list:1 > /dev/null
podman manifest add list:1 containers-storage:localhost/app:1 > /dev/null
podman manifest push -q --all --format oci --add-compression zstd list:1 docker://$site/podman/both:1 > /dev/null
check "podman --add-compression, rbuild pull" pulls $site/podman/both:1
podman manifest add --artifact list:1 context/small > /dev/null
podman manifest push -q --all --format oci list:1 docker://$site/podman/artifact:1 > /dev/null
check "a list with an artifact, rbuild pull" pulls $site/podman/artifact:1
rbuild manifest create list:1 > /dev/null
check "a list with an artifact, rbuild manifest add --all" rbuild manifest add --all list:1 docker://$site/podman/artifact:1
for format in oci-archive docker-archive; do
    podman save -q --format $format -o podman-$format.tar localhost/app:1
    check "podman save --format $format, rbuild load" loads podman-$format.tar
done
exit $failed
