//! The synthetic databases load, and hold what their descriptions promise.

use super::{engine, ok};
use crate::data::{dentrix_enterprise, dolphin, orthotrac};

#[test]
fn every_profile_loads_with_its_rows_and_keys() {
    let engine = engine();
    for profile in [dolphin::profile(400, 1), dentrix_enterprise::profile(400, 1), orthotrac::profile(400, 1)]
    {
        engine.load(profile).unwrap();
    }
    let mut s = engine.local_session("test");
    for (query, row) in [
        (
            "SELECT COUNT(*), COUNT(DISTINCT RowVer), MIN(AppointmentID), MAX(AppointmentID) FROM Main_OMS.dbo.Appointment",
            "400|400|1|400",
        ),
        (
            "SELECT COUNT(*) FROM Main_OMS.dbo.Appointment a JOIN Main_OMS.dbo.Patient p ON p.PatientID = a.PatientID",
            "400",
        ),
        (
            "SELECT COUNT(*) FROM Dentrix.dbo.DDB_APPT_BASE a JOIN Dentrix.dbo.DDB_PAT_BASE p ON p.PATID = a.PATID AND p.PATDB = a.PATDB",
            "400",
        ),
        (
            "SELECT COUNT(DISTINCT APPTDB), CASE WHEN COUNT(DDB_LAST_MOD) < COUNT(*) THEN 'some unknown' END FROM Dentrix.dbo.DDB_APPT_BASE",
            "2|some unknown",
        ),
        (
            "SELECT COUNT(*) FROM OrthoTrac.dbo.Visit v JOIN OrthoTrac.dbo.Pat p ON p.PatCode = v.PatCode",
            "400",
        ),
        (
            "SELECT VisitNo FROM OrthoTrac.dbo.Visit WHERE Stamp = (SELECT MAX(Stamp) FROM OrthoTrac.dbo.Visit)",
            "400",
        ),
        (
            "SELECT LEN(PatCode), DATALENGTH(PatCode) FROM OrthoTrac.dbo.Pat WHERE PatCode = 'p000000001'",
            "10|10",
        ),
    ] {
        assert_eq!(ok(&mut s, query), [row], "{query}");
    }
    assert_eq!(
        super::fails(&mut s, "UPDATE OrthoTrac.dbo.Visit SET PatCode = 'P9' WHERE VisitNo = 1").0,
        547
    );
}
