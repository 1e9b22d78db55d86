# Needs: everything measured. Makes: the report.


rule report:
    localrule: True
    input:
        [],
