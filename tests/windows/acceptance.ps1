# What Wine cannot show, performed on a real Windows machine: see README.md beside this file.
#
#   powershell -ExecutionPolicy Bypass -File acceptance.ps1 -Setup C:\setup -Master salt.example -Finger aa:bb:...
#
# Run as an administrator. Prints "ok" or "FAILED" for each point; the exit code is the number of points that failed.
param(
    [Parameter(Mandatory = $true)][string]$Setup,
    [Parameter(Mandatory = $true)][string]$Master,
    [string]$Finger = ''
)
$ErrorActionPreference = 'Stop'
$name = 'NexHealthAgent'
$root = 'C:\NexHealth'
$failed = 0

function Point([string]$what, [scriptblock]$check) {
    try { $holds = & $check } catch { $holds = $false; Write-Host "  $_" }
    if ($holds) { Write-Host "ok      $what" } else { Write-Host "FAILED  $what"; $script:failed++ }
}

function Agent([string[]]$arguments) {
    & (Join-Path $Setup 'agent.exe') @arguments 2>&1 | ForEach-Object { "$_" } | Out-String
}

Point 'a folder that everybody may write in is refused with exit code 73' {
    if (Test-Path $root) { throw "$root exists: run this on a machine without the agent" }
    New-Item -ItemType Directory $root | Out-Null
    icacls $root /grant '*S-1-1-0:(OI)(CI)F' | Out-Null
    Agent @('service', 'install', '--master', $Master, '--no-start', '--silent') | Out-Null
    $code = $LASTEXITCODE
    Remove-Item -Recurse -Force $root
    $code -eq 73
}

Point 'installs and runs' {
    $arguments = @('service', 'install', '--master', $Master)
    if ($Finger) { $arguments += @('--finger', $Finger) }
    Write-Host (Agent $arguments)
    # 69: it runs, and the doctor said above what keeps it from its work here.
    $code = $LASTEXITCODE
    $code -in 0, 69 -and (Get-Service $name).Status -eq 'Running'
}

Point 'the folder belongs to the administrators, and only they and the system have rights' {
    $acl = Get-Acl $root
    $others = $acl.Access | Where-Object {
        $_.IdentityReference.Translate([Security.Principal.SecurityIdentifier]).Value -notin 'S-1-5-18', 'S-1-5-32-544'
    }
    $owner = (New-Object Security.Principal.NTAccount($acl.Owner)).Translate([Security.Principal.SecurityIdentifier]).Value
    $acl.AreAccessRulesProtected -and -not $others -and $owner -in 'S-1-5-18', 'S-1-5-32-544'
}

Point 'starts delayed' {
    (Get-ItemProperty "HKLM:\SYSTEM\CurrentControlSet\Services\$name").DelayedAutostart -eq 1
}

Point 'is started again after a failure' {
    (sc.exe qfailure $name | Out-String) -match 'RESTART'
}

Point 'a killed supervisor comes back, with an agent' {
    $before = (Get-CimInstance Win32_Service -Filter "Name='$name'").ProcessId
    Stop-Process -Id $before -Force
    $end = (Get-Date).AddMinutes(2)
    do {
        Start-Sleep 1
        $after = (Get-CimInstance Win32_Service -Filter "Name='$name'").ProcessId
        $agent = if ($after) { Get-CimInstance Win32_Process -Filter "ParentProcessId=$after AND Name='agent.exe'" }
    } until (($after -and $after -ne $before -and $agent) -or (Get-Date) -gt $end)
    $after -and $after -ne $before -and $agent
}

Point 'the event log has readable entries' {
    $entry = Get-WinEvent -FilterHashtable @{ LogName = 'Application'; ProviderName = $name } -MaxEvents 1
    $entry.Message -match 'agent'
}

Point 'the key of the store is bound to this machine' {
    $key = [IO.File]::ReadAllBytes("$root\var\lib\agent\store.sqlite.key")
    [Text.Encoding]::ASCII.GetString($key, 0, 6) -eq 'DPAPI1'
}

Point 'a state has Defender leave the folder alone, once' {
    $state = @('call', '--local', '--out', 'json', 'state.single', 'win_defender.exclusion_present', "name=$root")
    Agent $state | Out-Null
    $again = Agent $state | ConvertFrom-Json
    (Get-MpPreference).ExclusionPath -contains $root -and
        @($again.local.PSObject.Properties.Value)[0].comment -match 'leaves it alone already'
}

Point 'the service module tells what Windows tells' {
    $call = @('call', '--local', '--out', 'json')
    $info = (Agent ($call + @('service.info', $name)) | ConvertFrom-Json).local
    $all = (Agent ($call + @('service.get_all')) | ConvertFrom-Json).local
    $windows = (Get-Service).Name
    $sid = (New-Object Security.Principal.NTAccount("NT SERVICE\$name")).Translate([Security.Principal.SecurityIdentifier])
    $info.Status -eq 'Running' -and $info.StartType -eq 'Auto' -and $info.StartTypeDelayed -and
        $info.sid -eq $sid.Value -and @(Compare-Object $all $windows).Count -eq 0
}

Point 'the grains tell of Defender what Defender says, and whether a restart is pending' {
    $grains = (Agent @('call', '--local', '--out', 'json', 'grains.items') | ConvertFrom-Json).local
    $defender = Get-MpComputerStatus
    $grains.defender.real_time -eq $defender.RealTimeProtectionEnabled -and
        @(Compare-Object @($grains.defender.excludes) @((Get-MpPreference).ExclusionPath)).Count -eq 0 -and
        $grains.pending_reboot -is [bool]
}

Point 'stops within its time and leaves nothing running' {
    Stop-Service $name
    -not (Get-CimInstance Win32_Process -Filter "ExecutablePath LIKE 'C:\\NexHealth\\%'")
}

Write-Host 'By hand: restart the machine (the supervisor.log shows a drain before it), and let it sleep for more than an'
Write-Host 'hour (the agent answers test.ping within a minute after it woke up, and supervisor.log names no hang).'

Point 'uninstall leaves configuration and data, --everything nothing' {
    Agent @('service', 'uninstall') | Out-Null
    $kept = (Test-Path "$root\conf\minion") -and -not (Test-Path "$root\versions")
    Agent @('service', 'uninstall', '--everything') | Out-Null
    $kept -and -not (Test-Path $root) -and -not (Get-Service $name -ErrorAction SilentlyContinue)
}

exit $failed
