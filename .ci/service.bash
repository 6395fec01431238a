# To be sourced after step.bash: which tests of the service's module run in which build.

# The packages in which several goroutines share something, and the race detector costs little:
# make test runs their tests under it. The others run in an ordinary build there, and under the
# race detector in make builds. TestRace finds a goroutine elsewhere.
served='./database ./deviceapi ./deviceclient ./node ./notices ./push ./quota ./rp/rphttp ./stores/bolt ./stores/watermark/... ./transactions'

# The tests that never run under the race detector: they have the command or a phone built, which
# is without it; or kill processes, or damage files, and look at what is on the disk then.
apart='^Test(Readme|Bind|JVM|Browser|Phone|Kill.*|PowerCut.*|Failover|Processes|FlippedBits.*|EveryFlippedBit.*|DamagedPages)$'

# unserved prints the other packages.
unserved() {
	in_module service go list ./... | grep -vxF "$(in_module service go list $served)"
}

# served_apart prints the packages of $served that have tests of $apart.
served_apart() {
	local name=${apart#^} dir
	for dir in $(in_module service go list -f '{{.Dir}}' $served); do
		! grep -qsE "^func ${name%\$}\\(" "$dir"/*_test.go || echo "$dir"
	done
}
