Feature: C11 to C15, what an account may come to
  A lot is worth 6 dollars and has 6 dollars of delta.

  @C11
  Scenario: so many open orders, in number
    Given Ann may have at most 2 orders open
    And Ann buys 1 PERPETUAL at 59000
    And Ann buys 1 PERPETUAL at 59000
    When Ann buys 1 PERPETUAL at 59000
    Then it is refused: OPEN_ORDERS 3 2
    When people let Ann have any number of orders open
    And Ann buys 1 PERPETUAL at 59000
    Then it is taken

  @C11
  Scenario: and in money
    Given Ann may have at most 60 dollars of orders open
    And Ann buys 4 PERPETUAL at 59000
    When Ann sells 7 ETHER at 61000
    Then it is refused: OPEN_NOTIONAL 66000000 60000000

  @C12
  Scenario: a position, open orders included, of Ann and of her desk
    Given desk Rates of Ann and Bea
    And Ann may hold at most 10 lots of PERPETUAL
    And Rates may hold at most 15 lots of PERPETUAL
    When Ann buys 11 PERPETUAL at 60000
    Then it is refused: POSITION_LIMIT 11 10
    When Ann buys 10 PERPETUAL at 60000
    And Bea buys 6 PERPETUAL at 60000
    Then it is refused: POSITION_LIMIT 16 15
    When Bea buys 5 PERPETUAL at 60000
    Then it is taken

  @C12
  Scenario: open interest of a contract
    Given open interest in PERPETUAL is at most 10 lots
    And Dealer sells 7 PERPETUAL at 60000
    And Ann buys 7 PERPETUAL at 60000
    When Bea buys 4 PERPETUAL at 60000
    Then it is refused: OPEN_INTEREST 11 10
    When Ann sells 7 PERPETUAL at 60000
    Then it is taken

  @C13
  Scenario: the worst subset of the open orders must be covered
    Given Cat withdraws 994 dollars
    And Cat sells 9 PERPETUAL at 60000
    When Cat buys 9 PERPETUAL at 59999
    Then it is taken
    When Cat sells 2 PERPETUAL at 60001
    Then it is refused: MARGIN 6599824 6000000

  @C14
  Scenario: whoever is below its requirement may reduce, at a price
    Given Dealer sells 100 ETHER at 60000
    And Cat buys 100 ETHER at 60000
    And Cat withdraws all but 0 dollars of what is free
    And the mark of ETHER becomes 59400
    And Cat may have at most 0 orders open
    And Cat may hold at most 0 lots of ETHER
    When Cat sells 100 ETHER at 40000
    Then it is refused: BELOW_PRICE 194000004 54000000
    When Cat sells 100 ETHER at 54000
    Then it is refused: BELOW_PRICE 54000004 54000000
    When Cat sells 100 ETHER at 54001
    Then it is taken

  @C15
  Scenario: delta in one block, of Ann and of her firm
    Given firm House of Ann and Bea
    And Ann may hold at most 60 dollars of delta in one block
    And House may hold at most 90 dollars of delta in one block
    When Ann buys 6 PERPETUAL at 60000
    And Ann buys 5 FUTURE at 60000
    Then it is refused: EXPOSURE 66000000 60000000
    When Ann buys 5 ETHER at 60000
    Then it is taken
    When Bea buys 10 FUTURE at 60000
    Then it is refused: EXPOSURE 96000000 90000000
